import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { append, at, DAY, events, Fixture, readAll, refusal } from './testing/fixture.ts'
import type { LocalLog } from './log.ts'

const fixture = new Fixture()
const HOUR = DAY / 24
const cleaning = { everyMs: 5, activeMs: 1_000, joinMs: HOUR }

/** What the file says of a topic's batches, once the log is closed. */
function rows(topic: string): { base: number; last: number; count: number; bytes: number; span: number }[] {
  const database = new DatabaseSync(fixture.file)
  try {
    return database
      .prepare(
        `SELECT base_offset AS base, last_offset AS last, count, bytes, max_timestamp - first_timestamp AS span FROM batches
         WHERE partition_id = (SELECT id FROM partitions WHERE topic = ?) ORDER BY last_offset`,
      )
      .all(topic) as never
  } finally {
    database.close()
  }
}

/** Appends one by one, a minute apart. */
async function trickle(log: LocalLog, count: number, from = 0): Promise<void> {
  for (let n = from; n < from + count; n++) {
    await append(log, events, `k${n % 3}`, n % 5 === 4 ? null : `value ${n}`)
    fixture.now += HOUR / 60
  }
}

const cleaned = (log: LocalLog) => fixture.cleaned(log)

describe('small batches', () => {
  it('of a topic with retention are joined in the background, by the hour; reads return the same', async () => {
    const log = await fixture.open({ cleaning: { ...cleaning, everyMs: DAY } })
    await trickle(log, 150)
    const before = await readAll(log, events)
    await log.close()
    expect(rows(events.name)).toHaveLength(150)

    const again = await fixture.open({ cleaning })
    await cleaned(again)
    expect(await readAll(again, events)).toEqual(before)
    expect((await again.read(at(events), 77, { maxBytes: 1 })).records).toEqual([before[77]])
    await again.close()
    const joined = rows(events.name)
    expect(joined.length).toBeLessThanOrEqual(4)
    expect(joined.every(({ span }) => span <= HOUR)).toBe(true)
    expect(joined.reduce((sum, { count }) => sum + count, 0)).toBe(150)
    const last = await fixture.open({ cleaning: { ...cleaning, everyMs: DAY } })
    expect(await readAll(last, events)).toEqual(before)
    expect((await append(last, events, 'k', 'more'))[0]?.offset).toBe(150)
  })

  it('are left alone while they are young, and next to large ones', async () => {
    const log = await fixture.open({ cleaning })
    await append(log, events, 'k', 'one')
    await append(log, events, 'k', Buffer.alloc(100_000, 'x'))
    await append(log, events, 'k', 'two')
    await append(log, events, 'k', 'three')
    await cleaned(log)
    await append(log, events, 'k', 'young')
    await append(log, events, 'k', 'younger')
    fixture.now += HOUR / 2
    await log.close()
    expect(rows(events.name).map(({ base, count }) => [base, count])).toEqual([
      [0, 1],
      [1, 1],
      [2, 2],
      [4, 1],
      [5, 1],
    ])
  })

  it('are not joined across damage or a gap: both are still found', async () => {
    const before = await fixture.open({ cleaning: { ...cleaning, everyMs: DAY } })
    await trickle(before, 9)
    await before.close()
    const database = new DatabaseSync(fixture.file)
    database.exec(
      'UPDATE batches SET records = zeroblob(length(records)) WHERE base_offset = 3; DELETE FROM batches WHERE base_offset = 6',
    )
    database.close()
    const told: Error[] = []
    const log = await fixture.open({ cleaning, onError: error => told.push(error) })
    await cleaned(log)
    expect(told).toMatchObject([{ code: 'corrupt', message: expect.stringContaining('events/0, offsets 3 to 3') }])
    expect((await refusal(log.read(at(events), 3))).message).toContain('offsets 3 to 3')
    expect((await refusal(log.read(at(events), 6))).message).toContain('offsets 6 to 6: there are no records')
    await log.close()
    expect(rows(events.name).map(({ base, last }) => [base, last])).toEqual([
      [0, 2],
      [3, 3],
      [4, 5],
      [7, 8],
    ])
  })
})
