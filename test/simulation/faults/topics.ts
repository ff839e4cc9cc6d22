/** Somebody touches the topics: while all stands still, or while everything runs. */
import type { LogRecord } from '../../../topics/log.ts'
import type { Partition } from '../cluster/partition.ts'
import { codec } from '../codes.ts'
import type { Touched, World } from '../world.ts'
import { type Fault, once } from './fault.ts'

/** What the processes had on its way has arrived by then, ms. */
const QUIET_MS = 25_000

/** All processes are stopped, something is done to the cluster, and all are started again. */
function whileStopped(world: World, what: () => void): void {
  const { scheduler, machines } = world
  if (world.maintenance !== null) {
    world.maintenance.push(what)
    return
  }
  const work = [what]
  world.maintenance = work
  for (const machine of machines) void machine.crash()
  scheduler.at(QUIET_MS, null, () => {
    if (!world.trouble.on) return
    for (const what of work) what()
    world.maintenance = null
    for (const machine of machines) machine.boot()
  })
}

function maintenance(name: string, chance: number, touches: Touched, what: (world: World) => boolean): Fault {
  return {
    name,
    chance,
    install: (world, strike) =>
      world.scheduler.at(world.scheduler.random.below(world.settings.faultyMs - QUIET_MS), null, () =>
        whileStopped(world, () => {
          if (!what(world)) return
          world.touched.add(touches)
          strike()
        }),
      ),
  }
}

const inboxes = ['trial.inbox', 'tally.inbox'] as const

/** Records go; those that were not handled have gone for good. */
function take({ history }: World, partition: Partition, removed: readonly LogRecord[], how: () => void): void {
  history.removed(partition.at, removed)
  how()
}

export const topicFaults: readonly Fault[] = [
  {
    name: 'retention passes by',
    chance: 0.1,
    install: (world, strike) => {
      for (let n = 1 + world.scheduler.random.below(3); n > 0; n--)
        once(world, () => {
          const { cluster, scheduler, history } = world
          const partition = scheduler.random.pick(cluster.partitionsOf('trial.inbox'))
          // A task that has handled nothing begins at the beginning, wherever that is.
          if (history.of(partition.at).next === 0) return
          const before = partition.low + scheduler.random.below(partition.stable - partition.low + 1)
          if (before > history.of(partition.at).next) {
            strike()
            world.touched.add('inbox')
          }
          const removed = partition.records.filter(r => r.offset < before)
          take(world, partition, removed, () => partition.remove(before))
        })
    },
  },
  maintenance('retention passed by meanwhile', 0.07, 'inbox', world => {
    const { cluster, scheduler } = world
    const partition = scheduler.random.pick(cluster.partitionsOf('trial.inbox'))
    if (world.history.of(partition.at).next === 0) return false
    if (partition.end > world.history.of(partition.at).next) world.history.freeze(partition.at, 'records of it are gone')
    take(world, partition, partition.records, () => partition.remove(partition.end))
    return true
  }),
  maintenance('an inbox made again', 0.07, 'inbox', world => {
    const { cluster, scheduler } = world
    const topic = scheduler.random.pick(inboxes)
    for (const partition of cluster.partitionsOf(topic)) {
      take(world, partition, partition.records, () => {})
      world.history.freeze(partition.at, 'it was made again')
    }
    cluster.remake(topic)
    return true
  }),
  maintenance('an inbox rolled back', 0.07, 'inbox', world => {
    const { cluster, scheduler } = world
    for (const partition of cluster.partitionsOf('trial.inbox')) {
      const end = scheduler.random.below(partition.end + 1)
      if (end < world.history.of(partition.at).next) world.history.freeze(partition.at, 'it was rolled back')
      take(
        world,
        partition,
        partition.records.filter(r => r.offset >= end),
        () => partition.cut(end),
      )
    }
    return true
  }),
  {
    name: 'an inbox made again under running tasks',
    chance: 0.04,
    install: (world, strike) =>
      once(world, () => {
        const { cluster } = world
        strike()
        world.touched.add('inbox')
        for (const partition of cluster.partitionsOf('tally.inbox')) take(world, partition, partition.records, () => {})
        cluster.remake('tally.inbox')
        cluster.group.rebalance()
      }),
  },
  maintenance('a changelog made again', 0.07, 'changelog', world => {
    const { cluster, scheduler, history } = world
    const inbox = scheduler.random.pick(inboxes)
    if (world.offsetsExpired) return false
    for (const { at } of cluster.partitionsOf(inbox)) history.cut(at, 0)
    cluster.remake(inbox.replace(/inbox$/, 'changelog'))
    return true
  }),
  maintenance('a changelog rolled back', 0.07, 'changelog', world => {
    const { cluster, scheduler, history } = world
    const partition = scheduler.random.pick(cluster.partitionsOf('trial.changelog'))
    const at = { topic: 'trial.inbox', partition: partition.at.partition }
    const { ends } = history.of(at)
    if (ends.length < 3 || world.offsetsExpired) return false
    const end = (ends[1 + scheduler.random.below(ends.length - 1)] as number) + 1
    history.cut(at, end)
    partition.cut(end)
    return true
  }),
  maintenance('partitions added', 0.07, 'partitions', world => {
    const { cluster, scheduler } = world
    const both = scheduler.random.chance(0.5)
    // Keys move to partitions that know nothing of them: neither what they have seen, nor what is under way.
    world.keysMoved = true
    for (const { at } of cluster.partitionsOf('trial.inbox')) world.history.freeze(at, 'keys have moved to other partitions')
    cluster.grow('trial.inbox', 5)
    if (both) cluster.grow('trial.changelog', 5)
    return true
  }),
  maintenance('the offsets have expired', 0.07, 'other', world => {
    // With the changelog gone, too, nothing says any more how far all was handled.
    if (world.touched.has('changelog')) return false
    world.offsetsExpired = true
    world.cluster.group.forgetOffsets()
    return true
  }),
]

/** Sequence of an input, or null. */
export function sequenceOf(record: LogRecord): number | null {
  if (record.value === null) return null
  try {
    const decoded = codec.decode(record.value)
    return decoded.type === 'TrialInput' ? decoded.value.sequence : null
  } catch {
    return null
  }
}
