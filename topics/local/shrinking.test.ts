import { statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { append, DAY, events, Fixture, readAll, short } from './testing/fixture.ts'
import type { LocalLog } from './log.ts'

const fixture = new Fixture()
const cleaning = { everyMs: 5 }
const MB = 1024 * 1024

const texts = async (log: LocalLog) => (await readAll(log, events)).map(({ value }) => `${value}`)

/** 10 MB that retention removes, with something before and behind them that stays. @returns what the file has by then */
async function fillAndClean(log: LocalLog): Promise<{ full: number; left: number }> {
  await append(log, events, 'k', 'before')
  for (let n = 0; n < 100; n++) await append(log, short, 'k', Buffer.alloc(100_000, 'x'))
  await append(log, events, 'k', 'behind')
  const full = log.size()
  fixture.now += 2 * DAY
  await fixture.cleaned(log)
  await log.close()
  return { full, left: statSync(fixture.file).size }
}

/** What an earlier version has made. */
async function asBefore(more = ''): Promise<void> {
  await (await fixture.open()).close()
  const database = new DatabaseSync(fixture.file)
  database.exec(`${more}; PRAGMA auto_vacuum = NONE; VACUUM`)
  database.close()
}

it('the file shrinks when records are removed, and keeps the others', async () => {
  const { full, left } = await fillAndClean(await fixture.open({ cleaning }))
  expect(full).toBeGreaterThan(8 * MB)
  expect(left).toBeLessThan(2 * MB)
  expect(await texts(await fixture.open())).toEqual(['before', 'behind'])
})

it('a small file of an earlier version is rewritten, and shrinks from then on', async () => {
  await asBefore()
  const errors: Error[] = []
  const { left } = await fillAndClean(await fixture.open({ cleaning, onError: error => errors.push(error) }))
  expect(left).toBeLessThan(2 * MB)
  expect(errors).toEqual([])
  expect(await texts(await fixture.open())).toEqual(['before', 'behind'])
})

it('a large one is used as it is, and what to do about it is reported', async () => {
  await asBefore('CREATE TABLE filler (bytes BLOB); INSERT INTO filler VALUES (zeroblob(70000000))')
  const errors: Error[] = []
  const { left } = await fillAndClean(await fixture.open({ cleaning, onError: error => errors.push(error) }))
  expect(left).toBeGreaterThan(78_000_000)
  expect(errors.map(({ message }) => message)).toEqual([
    expect.stringMatching(/log\.db was created by an earlier version and does not shrink .*VACUUM/),
  ])
  expect(await texts(await fixture.open())).toEqual(['before', 'behind'])
})
