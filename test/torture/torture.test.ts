import { expect, it } from 'vitest'
import { describeWithStack } from '../stack/vitest.ts'
import { torture } from './torture.ts'

/** A short run of `npm run torture`. */
await describeWithStack('workers on a real broker under faults', ({ DATABASE_URL }) => {
  const seed = Number(process.env.SEED ?? 3)
  it(`lose nothing and double nothing (seed ${seed})`, { timeout: 300_000 }, async () => {
    const { violations, ...rest } = await torture({ seed, faults: Number(process.env.FAULTS ?? 12), databaseUrl: DATABASE_URL })
    console.log(JSON.stringify(rest))
    expect(violations).toEqual([])
    expect(rest.inputs).toBeGreaterThan(1_000)
    expect(rest.rows).toBeGreaterThan(1_000)
  })
})
