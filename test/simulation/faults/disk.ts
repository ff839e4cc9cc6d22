/** What happens to disks, and to the registry. */
import type { Disk } from '../machine/disk.ts'
import type { World } from '../world.ts'
import { anyMachine, type Fault, forAWhile, once } from './fault.ts'

function diskFault(name: string, chance: number, most: number, set: (disk: Disk, on: boolean) => void): Fault {
  return {
    name,
    chance,
    install: (world, strike) => {
      for (let n = 1 + world.scheduler.random.below(2); n > 0; n--)
        forAWhile(world, most, () => {
          const { disk } = anyMachine(world)
          strike()
          set(disk, true)
          return () => set(disk, false)
        })
    },
  }
}

/** Opening comes right after an assignment: so there is one. */
function withRebalance(fault: Fault): Fault {
  return {
    ...fault,
    install: (world, strike) =>
      fault.install(world, () => {
        strike()
        world.cluster.group.rebalance()
      }),
  }
}

export const diskFaults: readonly Fault[] = [
  diskFault('notes fail', 0.1, 15_000, (disk, on) => {
    disk.notesFail = on
  }),
  diskFault('store writes fail', 0.1, 10_000, (disk, on) => {
    disk.writesFail = on ? 0.5 : 0
  }),
  diskFault('store writes hang', 0.08, 12_000, (disk, on) => {
    disk.hangs = on
  }),
  diskFault('store reads fail', 0.1, 8_000, (disk, on) => {
    disk.readsFail = on ? 0.1 : 0
  }),
  withRebalance(
    diskFault('stores do not open', 0.1, 12_000, (disk, on) => {
      disk.opensFail = on
    }),
  ),
  diskFault('wiping fails', 0.06, 15_000, (disk, on) => {
    disk.wipeFails = on
  }),
  {
    name: 'a store read fails once',
    chance: 0.15,
    install: (world, strike) => {
      for (let n = 1 + world.scheduler.random.below(4); n > 0; n--)
        once(world, () => {
          strike()
          anyMachine(world).disk.failNextRead()
        })
    },
  },
  {
    name: 'a store read fails during a commit',
    chance: 0.12,
    install: (world, strike) => {
      world.cluster.odds.stalls = 0.06
      world.cluster.onStall = life => {
        const machine = world.machines.find(m => m.life === life)
        if (!world.trouble.on || machine === undefined) return
        strike()
        world.scheduler.at(world.scheduler.random.below(1_500), life, () => machine.disk.failNextRead())
      }
    },
  },
  {
    name: 'a damaged value',
    chance: 0.08,
    install: (world, strike) => once(world, () => damage(world, strike)),
  },
  {
    name: 'disk synced',
    chance: 0.3,
    install: (world, strike) => {
      for (let n = 3; n > 0; n--)
        once(world, () => {
          strike()
          anyMachine(world).disk.sync()
        })
    },
  },
]

function damage(world: World, strike: () => void): void {
  const { random } = world.scheduler
  for (const store of anyMachine(world).disk.stores()) {
    const key = random.pick(['a', 'b', 'c', 'd', 'e'])
    if (store.held.get(key) === null) continue
    strike()
    store.damaged.add(key)
  }
}

export const registryFaults: readonly Fault[] = [
  {
    name: 'newer inputs',
    chance: 0.3,
    install: (world, strike) =>
      once(world, () => {
        strike()
        world.newerInputs = true
      }),
  },
  {
    name: 'newer changelog',
    chance: 0.15,
    install: (world, strike) => {
      const { name } = anyMachine(world)
      strike()
      once(world, () => void world.newerWriters.add(name))
    },
  },
  ...(['refuses', 'hangs'] as const).map(
    (state): Fault => ({
      name: `registry ${state}`,
      chance: 0.12,
      install: (world, strike) =>
        forAWhile(world, 20_000, () => {
          strike()
          world.newerInputs = true
          world.registryTrouble.state = state
          return () => {
            world.registryTrouble.state = 'well'
          }
        }),
    }),
  ),
  {
    name: 'registry without the newer schemas',
    chance: 0.08,
    install: (world, strike) =>
      forAWhile(world, 60_000, () => {
        strike()
        world.newerInputs = true
        world.registryTrouble.forgetful = true
        return () => {
          world.registryTrouble.forgetful = false
        }
      }),
  },
]
