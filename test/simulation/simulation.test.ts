import { beforeAll, describe, expect, it } from 'vitest'
import { BROKEN_DRIVER } from './cluster/membership.ts'
import { hunt, stale } from './mutants.ts'
import { mutations } from './mutations.ts'
import { faults, simulate } from './world.ts'

const SEEDS = 100
/** So far it is looked for kinds of fault that are rare. */
const RARE_WITHIN = 600

describe('the simulated world', () => {
  it(`keeps its promises over ${SEEDS} seeds, and until each kind of fault has occurred`, { timeout: 300_000 }, async () => {
    const missing = new Set(faults.map(f => f.name))
    for (let seed = 0; seed < SEEDS || (missing.size > 0 && seed < RARE_WITHIN); seed++) {
      const outcome = await simulate(seed)
      expect(outcome.violations, `seed ${seed}; replay it with: npm run sim -- --seed ${seed}`).toEqual([])
      for (const name of Object.keys(outcome.faults)) missing.delete(name)
    }
    expect([...missing]).toEqual([])
  })

  it('replays: the same seed takes the same steps', async () => {
    for (const seed of [7, 11]) {
      const [first, second] = [await simulate(seed), await simulate(seed)]
      expect(second).toEqual(first)
      expect(first.steps).toBeGreaterThan(1_000)
    }
  })

  it.each(['passesOver', 'twice'] as const)('notices a driver whose polls do not follow one another: %s', async how => {
    BROKEN_DRIVER[how] = 0.1
    try {
      const { violations, errors } = await simulate(3, { only: /^$/ })
      // Where nothing comes behind what was passed over, nobody can notice; it is still there to be read.
      const passedOver = /stands still|is read to|for ever|was handled 0 times/
      expect(violations.filter(violation => !passedOver.test(violation))).toEqual([])
      expect([...errors.keys()].filter(what => what.includes('but the next offset is'))).not.toEqual([])
    } finally {
      BROKEN_DRIVER[how] = 0
    }
  })
})

describe('a mutation of the engine is found, within 500 seeds or by its unit test:', () => {
  const hunts = new Map(mutations.map(mutation => [mutation, Promise.withResolvers<Awaited<ReturnType<typeof hunt>>>()]))

  // Two at a time; each test waits for its own.
  beforeAll(() => {
    const queue = hunts.entries()
    const lane = async () => {
      for (const [mutation, { resolve, reject }] of queue) await hunt(mutation).then(resolve, reject)
    }
    void lane()
    void lane()
  })

  it.each(mutations)('$name: its text is there', mutation => expect(stale(mutation)).toEqual([]))

  it.each(mutations)('$name', { timeout: 240_000 }, async mutation => {
    const found = await hunts.get(mutation)?.promise
    expect(found?.by, found?.output).not.toBeNull()
  })
})
