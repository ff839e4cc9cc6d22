import { statSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { append, DAY, Fixture, readAll, refusal, short, states } from './testing/fixture.ts'
import type { LocalLog } from './log.ts'

const fixture = new Fixture()

describe('cleaning', () => {
  it('runs in the background: retention and compaction', async () => {
    const log = await fixture.open({ topics: [short, states], cleaning: { everyMs: 5, activeMs: 1000, dirtyBytes: 1 } })
    await append(log, short, 'k', 'old')
    for (let i = 0; i < 10; i++) await append(log, states, 'k', `${i}`)
    fixture.now += 2000
    await vi.waitFor(async () => expect(await readAll(log, states)).toHaveLength(1), { timeout: 10_000 })
    expect(await log.ends(short.name)).toMatchObject([{ low: 0, high: 1 }])
    fixture.now += DAY + 60_000
    await vi.waitFor(async () => expect(await log.ends(short.name)).toMatchObject([{ low: 1, high: 1 }]), { timeout: 10_000 })
  })

  it('leaves young records alone', async () => {
    const log = await fixture.open({ cleaning: { activeMs: 1000 } })
    for (let i = 0; i < 5; i++) await append(log, states, 'k', `old ${i}`)
    fixture.now += 1500
    for (let i = 0; i < 5; i++) await append(log, states, 'k', `young ${i}`)
    await log.compact()
    expect((await readAll(log, states)).map(({ value }) => `${value}`)).toEqual([
      'old 4',
      ...Array.from({ length: 5 }, (_, i) => `young ${i}`),
    ])
  })

  it('keeps of any history what a reader of the newest values needs, and nothing old that was replaced', async () => {
    const history = fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.array(fc.tuple(fc.nat({ max: 12 }), fc.nat({ max: 3 })), { minLength: 1, maxLength: 20 }) },
        { weight: 2, arbitrary: fc.constant('compact' as const) },
        { weight: 1, arbitrary: fc.constant('reopen' as const) },
      ),
      { maxLength: 30 },
    )
    let runs = 0
    await fc.assert(
      fc.asyncProperty(history, async steps => {
        fixture.file = join(fixture.folder, `${runs++}.db`)
        const cleaning = { activeMs: 0, deleteRetentionMs: 1000 }
        let log = await fixture.open({ cleaning })
        const values = new Map<string, string>()
        const offsets = new Map<string, number>()
        let high = 0
        for (const step of [...steps, 'compact' as const]) {
          fixture.now += 300
          if (step === 'compact') await log.compact(states.name)
          else if (step === 'reopen') {
            await log.close()
            log = await fixture.open({ cleaning })
          } else {
            const records = step.map(([key, value]) => ({
              topic: states.name,
              key: `key-${key}`,
              value: value === 0 ? null : Buffer.from(`${value}`),
            }))
            for (const [i, { offset }] of (await log.append(records)).entries()) {
              const { key, value } = records[i]!
              if (value === null) values.delete(key)
              else values.set(key, `${value}`)
              offsets.set(key, offset)
              high = offset + 1
            }
          }
        }
        const records = await readAll(log, states)
        const live = records.filter(({ value }) => value !== null)
        expect(new Map(live.map(({ key, value }) => [key, `${value}`]))).toEqual(values)
        for (const { key, offset } of records) expect(offset).toBe(offsets.get(key!))
        fixture.now += 2000
        await log.compact()
        expect((await readAll(log, states)).map(({ key }) => key).toSorted()).toEqual([...values.keys()].toSorted())
        expect((await log.ends(states.name))[0]!.high).toBe(high)
        await log.close()
      }),
      { numRuns: 25 },
    )
  })

  it('runs while records are appended, and makes room in the file for new ones', async () => {
    const cleaning = { activeMs: 0 }
    const log = await fixture.open({ cleaning })
    const value = Buffer.alloc(1000, 'x')
    const round = (into: LocalLog) =>
      into.append(Array.from({ length: 300 }, (_, i) => ({ topic: states.name, key: `key-${i}`, value })))
    for (let i = 0; i < 20; i++) await round(log)
    let compacting = true
    const appending = (async () => {
      let rounds = 0
      for (; compacting; rounds++) await round(log)
      return rounds
    })()
    await log.compact()
    compacting = false
    expect(await appending).toBeGreaterThan(0)
    await log.compact()
    expect(await readAll(log, states)).toHaveLength(300)
    await log.close()
    const again = await fixture.open({ cleaning })
    const size = again.size()
    for (let i = 0; i < 15; i++) await round(again)
    await again.close()
    expect(statSync(fixture.file).size).toBeLessThan(size + 1_000_000)
  })

  it('ends with the log', async () => {
    const log = await fixture.open({ cleaning: { activeMs: 0 } })
    for (let i = 0; i < 20; i++) await append(log, states, 'k', `${i}`)
    const cleaning = refusal(log.compact())
    await log.close()
    expect((await cleaning).code).toBe('closed')
  })
})
