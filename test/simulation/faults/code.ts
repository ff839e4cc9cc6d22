/** Other code comes while everything runs: machine after machine, and back again where it could not do what the old one could. */
import { type Code, codec, codes } from '../codes.ts'
import { KEYS, send } from '../inputs.ts'
import { trialInbox } from '../trial.ts'
import type { World } from '../world.ts'
import { type Fault, once } from './fault.ts'

/** So many that a partition has more of them than a task puts up with. */
const POISONED_KEYS = 100

function roll(world: World, code: Code): void {
  const { scheduler, machines } = world
  let delay = 0
  for (const machine of machines) {
    scheduler.at(delay, null, () => machine.restart(scheduler.random.below(2_000), code))
    delay += scheduler.random.below(15_000)
  }
}

/** One at a time: what one of them needs, another has not. */
function rollout(name: string, chance: number, what: (world: World) => void): Fault {
  return {
    name,
    chance,
    install: (world, strike) => {
      if (world.rollout) return
      world.rollout = true
      once(world, () => {
        strike()
        what(world)
      })
    },
  }
}

export const codeFaults: readonly Fault[] = [
  rollout('another version', 0.1, world => roll(world, codes.same)),
  rollout('code with retired effects and timers', 0.1, world => roll(world, codes.retired)),
  rollout('code that left out effects and timers', 0.1, world => {
    roll(world, codes.careless)
    world.scheduler.at(20_000 + world.scheduler.random.below(20_000), null, () => roll(world, codes.base))
  }),
  rollout('a record of newer code', 0.1, world => {
    const { cluster, scheduler } = world
    for (let n = 3; n > 0; n--) {
      const value = codec.encode(trialInbox.name, 'TrialOutput', { sequence: -1, count: 0 })
      const send = (): void => {
        const append = { topic: trialInbox.name, key: scheduler.random.pick(KEYS), value }
        if (cluster.where(append).leaderless) scheduler.at(1_000, null, send)
        else cluster.write(append)
      }
      scheduler.at(scheduler.random.below(5_000), null, send)
    }
    scheduler.at(scheduler.random.below(30_000), null, () => roll(world, codes.novel))
  }),
  {
    name: 'too much poison',
    chance: 0.06,
    install: (world, strike) =>
      once(world, () => {
        strike()
        world.touched.add('poison')
        for (let n = 0; n < POISONED_KEYS; n++) {
          const sequence = 1_000 + n
          const value = codec.encode(trialInbox.name, 'TrialInput', { sequence, kind: 'poison', delayMs: 0 })
          send(world, world.scheduler.random.below(3_000), `p${n}`, value, { id: `p${n}` })
        }
      }),
  },
  {
    name: 'a record that nobody can read',
    chance: 0.12,
    install: (world, strike) =>
      once(world, () => {
        const { cluster, scheduler } = world
        const { random } = scheduler
        strike()
        const size = random.chance(0.5) ? 524_288 - 150 + random.below(140) : random.below(100)
        const append = {
          topic: trialInbox.name,
          key: random.chance(0.8) ? 'a' : null,
          value: random.chance(0.9) ? Buffer.alloc(size, 7) : null,
        }
        if (!cluster.where(append).leaderless) cluster.write(append)
      }),
  },
]
