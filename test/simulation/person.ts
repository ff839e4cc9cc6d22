/** Whoever looks after the system: redrives what was parked, and decides how a task goes on that stands still. */
import { reserved } from '../../engine/changelog.ts'
import type { TaskAction } from '../../schemas/types.ts'
import { LogError, partitionKey, type TopicPartition } from '../../topics/log.ts'
import { codec } from './codes.ts'
import { MENDED } from './tally.ts'
import type { Touched, World } from './world.ts'

const LOOKS = 1_000
/** So long a stop is looked at before somebody decides. */
const THINKS = 3_000
/** A decision that did not help is made again. */
const PATIENCE = 8_000

export function employ(world: World): void {
  const seen = new Map<string, number>()
  const redriven = new Set<string>()
  let decisions = 0
  const look = () => {
    world.scheduler.at(LOOKS, null, look)
    redrive(world, redriven)
    for (const { worker, life } of world.machines) {
      if (worker === null || life.dead || life.paused) continue
      for (const { topic, partition, stopped } of worker.status().tasks) {
        const at = { topic, partition }
        const key = `${life.name} ${partitionKey(at)}`
        if (stopped === null) {
          seen.delete(key)
          continue
        }
        // Other code may go on by itself.
        if (/failed within a minute/.test(stopped) && !seen.has(key) && !world.rollout)
          world.history.freeze(at, 'too much of it has failed')
        const since = seen.get(key) ?? world.scheduler.time
        seen.set(key, since)
        if (world.scheduler.time - since < THINKS) continue
        if (world.cluster.group.owner(at) !== life) continue
        seen.set(key, world.scheduler.time + PATIENCE)
        decide(world, at, stopped, `d${decisions++}`)
      }
    }
  }
  look()
}

/** What people would do about it; null where other code has to come, or a registry. */
function decisionFor(world: World, at: TopicPartition, cause: string): { action: TaskAction; offset: number } | null {
  const { low, end } = world.cluster.partition(at)
  const committed = world.cluster.committed(at) ?? 0
  const accept = (offset: number) => ({ action: 'ACCEPT' as const, offset })
  if (/changelog has no partition/.test(cause)) {
    world.cluster.grow(`${at.topic.replace(/inbox$/, 'changelog')}`, world.cluster.partitions.get(at.topic) ?? 1)
    return { action: 'RESUME', offset: -1 }
  }
  if (/had \d+ partitions/.test(cause)) return accept(Math.max(low, Math.min(committed, end)))
  if (/deleted and recreated/.test(cause)) return accept(low)
  if (/decide to rebuild/.test(cause)) return { action: 'REBUILD', offset: -1 }
  if (/decide to accept|is not there/.test(cause)) return accept(committed < low ? low : Math.min(committed, end))
  if (/has no effect|has no timer|has no handler|no record type|schema/.test(cause)) return null
  return { action: 'RESUME', offset: -1 }
}

/** What must have been done to the cluster before a task may ask for a person. */
function reasonFor(cause: string): Touched {
  if (/failed within a minute/.test(cause)) return 'poison'
  if (/had \d+ partitions|has no partition/.test(cause)) return 'partitions'
  if (/decide to rebuild|end of the changelog is lost/.test(cause)) return 'changelog'
  if (/decide to accept|is not there/.test(cause)) return 'inbox'
  return 'other'
}

function decide(world: World, at: TopicPartition, cause: string, id: string): void {
  const decision = decisionFor(world, at, cause)
  if (decision === null) return
  const reason = reasonFor(cause)
  if (!world.touched.has(reason))
    world.violations.push(`a person is asked for (${reason}), though nobody has touched the cluster: ${cause}`)
  const { cluster, history } = world
  const changelog = { topic: at.topic.replace(/inbox$/, 'changelog'), partition: at.partition }
  const record = { id, ...decision, by: 'person', reason: cause, at: cluster.now() }
  const value = codec.encode(changelog.topic, 'TaskDecision', record)
  try {
    cluster.write({ ...changelog, key: reserved.decision, value })
  } catch (error) {
    if (error instanceof LogError) return // nobody leads it: again later
    throw error
  }
  world.fault(`decided: ${decision.action}`)
  if (world.settings.verbose)
    console.log(`  ${world.scheduler.time} decided ${decision.action} ${decision.offset} of ${partitionKey(at)}: ${cause}`)
  history.frozen.delete(partitionKey(at))
  if (decision.action === 'ACCEPT') {
    history.accepted(at, decision.offset)
    // Orders to redrive may have been among what is gone: they are given anew.
    world.accepted.set(partitionKey(at), (world.accepted.get(partitionKey(at)) ?? 0) + 1)
  }
  // An offset that does not fit the changelog is accepted with the state as the changelog has it.
  if (decision.action === 'REBUILD' || /end of the changelog is lost/.test(cause)) history.rebuilt(at)
}

/** Each parked record once, some twice; dropped, mended, or as it was, which parks it again. */
function redrive(world: World, redriven: Set<string>): void {
  const { cluster, scheduler } = world
  const { random } = scheduler
  for (const { value, offset } of cluster.all({ topic: 'dead.letters', partition: 0 }).concat(...letters(world))) {
    const letter = value === null ? null : codec.decode(value)
    if (letter?.type !== 'DeadLetter' || letter.value.decision !== 'PARK') continue
    const { topic, key, offset: parked, value: raw, partition } = letter.value
    const times = world.accepted.get(partitionKey({ topic, partition })) ?? 0
    const id = `r${partition}.${parked}.${offset}.${cluster.partition({ topic, partition }).made}.${times}`
    if (redriven.has(id)) continue
    redriven.add(id)
    world.fault('a parked record')
    const way = random.pick(['drop', 'mend', 'mend', 'as it was'] as const)
    const order = { id, offset: parked, drop: way === 'drop', value: way === 'mend' ? mended(topic, raw) : null, by: 'person' }
    const redrive = codec.encode(topic, 'Redrive', order)
    for (let copies = random.chance(0.3) ? 2 : 1; copies > 0; copies--) {
      const send = () => {
        if (cluster.partition({ topic, partition }).leaderless) return scheduler.at(LOOKS, null, send)
        cluster.write({ topic, partition, key, value: redrive })
      }
      scheduler.at(random.below(5_000), null, send)
    }
  }
}

function letters({ cluster }: World) {
  return cluster
    .partitionsOf('dead.letters')
    .slice(1)
    .map(p => p.records)
}

function mended(topic: string, raw: Buffer): Buffer {
  const record = codec.decode(raw)
  if (record.type === 'TrialInput') return codec.encode(topic, 'TrialInput', { ...record.value, kind: 'add' })
  if (record.type === 'TrialDone') return codec.encode(topic, 'TrialDone', { sequence: MENDED * 4 })
  return raw
}
