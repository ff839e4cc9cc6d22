/** The outside world that effects are done to: it may be slow, not there, or lose an answer; and it remembers what was done. */
import { NotDone, type Port, type Run } from '../../engine/actor.ts'
import { partitionOf } from '../../topics/murmur2.ts'
import { MAX_RECORD_BYTES } from '../../topics/log.ts'
import { codec } from './codes.ts'
import type { Machine } from './machine/machine.ts'
import type { Life } from './scheduler.ts'
import { EFFECT_TIMEOUT, marked, markOf, tallyInbox, trialInbox } from './trial.ts'
import type { World } from './world.ts'

/** Something that reached the outside. */
export interface Done {
  readonly attempt: string
  readonly key: string
  readonly effect: string
  readonly sequence: number
}

export interface Flight {
  readonly attempt: string
  readonly life: Life
  until: number
}

/** Outcomes after which an attempt starts again. */
const REPEATED: ReadonlySet<string> = new Set(['RETRY', 'RELEASED'])

export function portsOf(world: World, machine: Machine, life: Life): Record<string, Record<string, Port>> {
  const port = (actor: string, effect: string) => outside(world, machine, life, actor, effect) as unknown as Port
  return {
    trial: { once: port('trial', 'once'), again: port('trial', 'again'), bulk: port('trial', 'bulk') },
    tally: { once: port('tally', 'once') },
  }
}

function outside(world: World, machine: Machine, life: Life, actor: string, effect: string) {
  const { scheduler, violations, done, inFlight, trouble } = world
  const { random } = scheduler
  return async (input: { sequence?: number; payload?: Buffer }, run: Run) => {
    const sequence = input.sequence ?? markOf(input.payload as Buffer)
    await scheduler.sleep(random.below(trouble.on ? 4_000 : 50), life)
    if (trouble.on && random.chance(0.1)) throw new NotDone('nobody there')
    run.beforeSend()
    checkLeaving(world, machine, life, actor, run)
    const former = inFlight.get(`${actor}/${run.key}`)
    const apart = former?.attempt !== run.attempt || former.life !== life
    // An idempotent attempt may still run a second time when the result of its first has let the next one start.
    if (
      former !== undefined &&
      apart &&
      !world.keysMoved &&
      former.until > scheduler.time &&
      resultOf(world, actor, former.attempt) === undefined
    )
      violations.push(
        `${life.name} let ${run.attempt} leave while ${former.life.name} still waited for ${former.attempt} of the same key`,
      )
    const flight: Flight = { attempt: run.attempt, life, until: scheduler.time + EFFECT_TIMEOUT }
    inFlight.set(`${actor}/${run.key}`, flight)
    await scheduler.sleep(random.below(100), null)
    if (trouble.on && random.chance(0.1)) {
      world.fault('lost on the way')
      return new Promise<never>(() => {})
    }
    done.push({ attempt: run.attempt, key: run.key, effect, sequence })
    if (trouble.on && random.chance(0.15)) {
      world.fault('answer lost')
      if (random.chance(0.5)) return new Promise<never>(() => {})
      await scheduler.sleep(random.below(100), life)
      flight.until = 0
      throw new Error('connection reset')
    }
    await scheduler.sleep(random.below(trouble.on && random.chance(0.2) ? 7_000 : 100), life)
    flight.until = 0
    if (effect !== 'bulk') world.answers.push({ actor, attempt: run.attempt, life })
    return effect === 'bulk' ? bulkResult(world, sequence) : { sequence }
  }
}

/** Results in one part or several, and some that no log can take. */
function bulkResult(world: World, sequence: number): object | object[] {
  const { random } = world.scheduler
  const part = () => ({ payload: marked(sequence, random.below(20)) })
  const kind = random.pick(['one', 'parts', 'parts', 'none', 'unfit', 'unfit later', 'large'] as const)
  if (kind !== 'one') world.fault(kind === 'parts' ? 'a result in parts' : 'a result that cannot be appended')
  if (kind === 'one') return part()
  if (kind === 'parts') return [part(), part(), part()].slice(random.below(2))
  if (kind === 'none') return []
  if (kind === 'unfit') return { payload: 'no bytes' }
  if (kind === 'unfit later') return [part(), { payload: 7 }]
  return { payload: marked(sequence, MAX_RECORD_BYTES - 100 + random.below(200)) }
}

function checkLeaving(world: World, machine: Machine, life: Life, actor: string, run: Run): void {
  const { violations } = world
  if (run.notAfter !== null && machine.now > run.notAfter) violations.push(`${run.attempt} left after its notAfter`)
  const owner = ownerOf(world, actor, run.key, life)
  if (owner !== undefined && owner !== life)
    violations.push(`${life.name} let ${run.attempt} leave, but ${owner.name} owns ${run.key}`)
  const result = resultOf(world, actor, run.attempt)
  if (world.touched.has('changelog')) return // an older state has forgotten what came of it
  const late = result !== undefined && result.headers.last !== '0' && result.timestamp < machine.assignedAt
  if (late && !endedBefore(world, actor, run.attempt, result.offset))
    violations.push(`${life.name} did ${run.attempt} again, though its result was in the log before it was assigned the task`)
}

/** Of the key's partition, as it is or as it was before there were more of them. */
function ownerOf({ cluster }: World, actor: string, key: string, life: Life): Life | undefined {
  const topic = `${actor}.inbox`
  const counts = [cluster.partitions.get(topic) ?? 1, actor === 'trial' ? trialInbox.partitions : tallyInbox.partitions]
  const owners = counts.map(count => cluster.group.owner({ topic, partition: partitionOf(key, count) }))
  return owners.find(owner => owner === life) ?? owners[0]
}

function resultOf({ cluster }: World, actor: string, attempt: string) {
  for (const { records } of cluster.partitionsOf(`${actor}.inbox`)) {
    const found = records.findLast(r => r.headers.attempt === attempt)
    if (found !== undefined) return found
  }
  return undefined
}

/** Whether an end in front of its result has the attempt repeated: the inbox is handled in that order. */
function endedBefore({ cluster }: World, actor: string, attempt: string, offset: number): boolean {
  return cluster.partitionsOf(`${actor}.inbox`).some(({ records }) =>
    records.some(record => {
      if (record.offset >= offset || record.value === null || codec.typeOf(record.value) !== 'EffectEnded') return false
      const { type, value } = codec.decode(record.value)
      return type === 'EffectEnded' && value.attempt === attempt && REPEATED.has(value.outcome)
    }),
  )
}
