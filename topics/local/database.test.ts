import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { TOGETHER, type Result, topic as fullTopic } from './testing/disk-full-child.ts'
import { append, at, DAY, events, Fixture, readAll, refusal, short } from './testing/fixture.ts'

const fixture = new Fixture()

describe('damage', () => {
  /** Changes a byte of a value, somewhere in the file. */
  function damage(value: string): void {
    const bytes = readFileSync(fixture.file)
    const found = bytes.indexOf(value)
    expect(found).toBeGreaterThan(0)
    bytes[found + 3]! ^= 1
    writeFileSync(fixture.file, bytes)
  }

  it('in a record is found when it is read, with the file, partition and offsets', async () => {
    const log = await fixture.open()
    await append(log, events, 'k', 'a good record')
    await append(log, events, 'k', 'a marked record')
    await append(log, events, 'k', 'another good record')
    await log.close()
    damage('a marked record')
    const again = await fixture.open()
    expect((await again.read(at(events), 0, { maxBytes: 1 })).records).toHaveLength(1)
    const { code, message } = await refusal(again.read(at(events), 1))
    expect(code).toBe('corrupt')
    expect(message).toContain(fixture.file)
    expect(message).toContain('events/0, offsets 1 to 1')
    expect((await again.read(at(events), 2)).records).toHaveLength(1)
  })

  it('of the file is found, and reported with its name, wherever it was truncated', async () => {
    const log = await fixture.open()
    for (let i = 0; i < 50; i++) await append(log, events, 'k', randomBytes(20_000))
    await log.close()
    const whole = statSync(fixture.file).size
    for (const left of [whole - 5000, whole >> 1, 5000, 50]) {
      truncateSync(fixture.file, left)
      const attempt = async () => {
        const damaged = await fixture.open()
        try {
          await readAll(damaged, events)
          await append(damaged, events, 'k', 'v')
        } finally {
          await damaged.close()
        }
      }
      const { code, message } = await refusal(attempt())
      expect([code, message]).toEqual(['corrupt', expect.stringContaining(fixture.file)])
    }
  })
})

/** Overwrites whole pages of the file under a log that has it open. */
function overwrite(firstPage: number, pages: number): void {
  const descriptor = openSync(fixture.file, 'r+')
  writeSync(descriptor, Buffer.alloc(pages * PAGE, 0xff), 0, pages * PAGE, firstPage * PAGE)
  closeSync(descriptor)
}
const PAGE = 4096

it('closes itself when the file is damaged where it writes, and reports it', async () => {
  const errors: Error[] = []
  const before = await fixture.open({ topics: [short] })
  await append(before, short, 'k', 'v')
  await before.close()
  const log = await fixture.open({ topics: [short], onError: error => errors.push(error) })
  const waiting = refusal(log.read(at(short), 1, { wait: 25_000 }))
  overwrite(1, statSync(fixture.file).size / PAGE - 1)
  const joining = log.join({ group: 'g', topics: [short.name], instance: 'i', assigned: () => {}, revoked: async () => {} })
  expect((await refusal(joining)).code).toBe('corrupt')
  expect((await waiting).code).toBe('closed')
  const { code, message } = await refusal(append(log, short, 'k', 'v'))
  expect([code, message]).toEqual(['closed', expect.stringContaining('is damaged')])
  expect(errors).toMatchObject([{ code: 'corrupt' }])
})

it('leaves expired records alone that it cannot read, and stays open', async () => {
  const errors: Error[] = []
  const before = await fixture.open({ topics: [short, events] })
  const values = Array.from({ length: 20 }, () => randomBytes(200_000))
  for (const value of values) await append(before, short, 'k', value)
  await append(before, events, 'k', 'v')
  await before.close()
  const log = await fixture.open({ topics: [short, events], onError: error => errors.push(error) })
  const within = readFileSync(fixture.file).indexOf(values[10]!.subarray(102_000, 102_020))
  expect(within).toBeGreaterThan(0)
  overwrite(Math.ceil(within / PAGE), 4)
  fixture.now += 2 * DAY
  await log.retain()
  await log.retain()
  expect((await log.ends(short.name))[0]?.low).toBe(10)
  expect(errors).toMatchObject([{ code: 'corrupt' }])
  await append(log, events, 'k', 'more')
  expect((await refusal(log.read(at(short), 10))).code).toBe('corrupt')
})

it('refuses with `unavailable` when the disk is full, takes nothing by half, and keeps what it had', async () => {
  const child = [process.execPath, join(import.meta.dirname, 'testing', 'disk-full-child.ts'), join(fixture.folder, 'full.db')]
  // A limit on the size of files, 1.5 MB: writing fails as on a full disk, once the signal that comes with it is ignored.
  const { stdout } = await promisify(execFile)('bash', ['-c', 'trap "" XFSZ; ulimit -f 1500; exec "$@"', 'bash', ...child])
  const { taken, refused }: Result = JSON.parse(stdout)
  expect(refused).toEqual(Array(5).fill('unavailable'))
  expect(taken).toBeGreaterThan(0)
  const log = await fixture.open({ file: join(fixture.folder, 'full.db'), topics: [fullTopic] })
  const highs = (await log.ends(fullTopic.name)).map(({ high }) => high)
  expect(highs).toEqual([(taken * TOGETHER) / 2, (taken * TOGETHER) / 2])
  await log.append([{ topic: fullTopic.name, key: 'k', value: Buffer.from('room again') }])
})
