/** What happens to the cluster, its partitions, and what is asked of it. */
import type { Odds } from '../cluster/cluster.ts'
import type { Partition } from '../cluster/partition.ts'
import type { World } from '../world.ts'
import { anyMachine, type Fault, forAWhile, once } from './fault.ts'

/** All along: something fails by chance. */
function odds(name: keyof Odds, chance: number, value: number): Fault {
  return {
    name,
    chance,
    install: (world, strike) => {
      strike()
      world.cluster.odds[name] = value
    },
  }
}

function partitionFault(name: string, chance: number, most: number, set: (partition: Partition, on: boolean) => void): Fault {
  return {
    name,
    chance,
    install: (world, strike) => {
      for (let n = 1 + world.scheduler.random.below(2); n > 0; n--)
        forAWhile(world, most, () => {
          const partition = anyPartition(world)
          strike()
          set(partition, true)
          return () => set(partition, false)
        })
    },
  }
}

function anyPartition({ cluster, scheduler }: World): Partition {
  const topic = scheduler.random.pick(['trial.inbox', 'trial.inbox', 'trial.changelog', 'tally.inbox', 'trial.outputs'])
  return scheduler.random.pick(cluster.partitionsOf(topic))
}

export const clusterFaults: readonly Fault[] = [
  odds('stalls', 0.4, 0.06),
  odds('unknownCommits', 0.4, 0.05),
  odds('doubtfulAppends', 0.4, 0.1),
  odds('slowMarkers', 0.2, 0.1),
  odds('fetchErrors', 0.15, 0.05),
  odds('brokenTransactions', 0.12, 0.04),
  partitionFault('without leader', 0.12, 15_000, (partition, on) => {
    partition.leaderless = on
  }),
  partitionFault('a damaged batch', 0.1, 15_000, (partition, on) => {
    partition.damaged = on
  }),
  {
    name: 'polls fail',
    chance: 0.08,
    install: (world, strike) =>
      forAWhile(world, 12_000, () => {
        const { log } = anyMachine(world)
        strike()
        log.pollFails = true
        return () => {
          log.pollFails = false
        }
      }),
  },
  {
    name: 'appends refused',
    chance: 0.1,
    install: (world, strike) =>
      forAWhile(world, 15_000, () => {
        strike()
        world.cluster.odds.refusedAppends = 0.7
        return () => {
          world.cluster.odds.refusedAppends = 0
        }
      }),
  },
  {
    name: 'compaction',
    chance: 0.3,
    install: (world, strike) => {
      const { random } = world.scheduler
      for (let n = 1 + random.below(4); n > 0; n--)
        once(world, () => {
          strike()
          compact(world)
        })
    },
  },
]

/** Changelogs, up to somewhere; what was deleted is kept as long as the topic says. */
function compact({ cluster, scheduler, settings }: World): void {
  for (const topic of ['trial.changelog', 'tally.changelog'])
    for (const partition of cluster.partitionsOf(topic))
      partition.compact(scheduler.random.below(partition.end + 1), cluster.now() - settings.deleteRetention)
}

export { compact }
