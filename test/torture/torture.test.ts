import { expect, it } from 'vitest'
import { describeWithStack } from '../stack/vitest.ts'
import { torture } from './torture.ts'

/** Generous, because the machine may be busy. */
const MAX_STALL_MS = 20_000

/** A short run of `npm run torture`: every kind of fault once, and some twice. */
await describeWithStack('workers on a real broker under faults', ({ DATABASE_URL, SCHEMA_REGISTRY_URL }) => {
  const seed = Number(process.env.SEED ?? 3)
  it(`lose nothing and double nothing (seed ${seed})`, { timeout: 300_000 }, async () => {
    const faults = Number(process.env.FAULTS ?? 12)
    const { violations, ...rest } = await torture({ seed, faults, databaseUrl: DATABASE_URL, registryUrl: SCHEMA_REGISTRY_URL })
    console.log(JSON.stringify(rest))
    expect(violations).toEqual([])
    expect(rest.inputs).toBeGreaterThan(1_000)
    expect(rest.rows).toBeGreaterThan(1_000)
    // Some faults hit partitions that are idle at that moment.
    const effective = Object.values(rest.faults).reduce((sum, tally) => sum + tally.effective, 0)
    expect(effective).toBeGreaterThanOrEqual(faults * 0.7)
    for (const [fault, ms] of Object.entries(rest.stalls)) expect(ms, `stall under ${fault}`).toBeLessThan(MAX_STALL_MS)
  })
})
