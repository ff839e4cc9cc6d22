/**
 * What must hold at the end of every run, whatever happened on the way: state = fold of each inbox; every output once; every
 * effect done once, or twice only where allowed, or told as unknown; nothing waits for ever.
 */
import type { ActorDefinition } from '../../engine/actor.ts'
import { type Emit, handle, type Place } from '../../engine/handle.ts'
import type { Instance } from '../../engine/instance.ts'
import type { Task } from '../../engine/task.ts'
import { recordSchema } from '../../schemas/index.ts'
import type { TrialState } from '../../schemas/types.ts'
import type { LogRecord, TopicPartition } from '../../topics/log.ts'
import { trial, trialInbox, trialOutputs } from './trial.ts'
import { codec, type Done } from './world.ts'

/** What has come to lie in the log. */
export interface Contents {
  readonly partitions: ReadonlyMap<string, number>
  all(at: TopicPartition): readonly LogRecord[]
  committed(at: TopicPartition): number | undefined
  now(): number
}

/** Who holds states. */
export interface Holder {
  task(at: TopicPartition): Pick<Task, 'state' | 'position' | 'peek'> | undefined
}

interface Evidence {
  readonly cluster: Contents
  readonly done: readonly Done[]
  readonly sent: ReadonlyMap<string, { key: string; kind: string; sequence: number }>
  readonly workers: readonly Holder[]
  /** Only what shows that the world has settled. */
  readonly quick: boolean
  /** The trial actor, or one that does more. */
  readonly actor?: ActorDefinition
}

/** Returns what is wrong, empty when nothing is. */
export function check({ cluster, done, sent, workers, quick, actor = trial as never }: Evidence): string[] {
  const wrong: string[] = []
  const outputs: Emit[] = []
  const ended = new Map<string, string>()
  for (let partition = 0; partition < (cluster.partitions.get(trialInbox.name) ?? 0); partition++) {
    const at = { topic: trialInbox.name, partition }
    const records = cluster.all(at)
    const position = cluster.committed(at) ?? 0
    if (records.some(r => r.offset >= position)) wrong.push(`partition ${partition} is read to ${position}, not to its end`)
    if (quick && wrong.length > 0) return wrong
    const folded = fold(actor, cluster, partition, wrong, ended)
    for (const emit of folded.emits) outputs.push(emit)
    for (const [key, instance] of folded.instances) {
      for (const { attempt, status } of instance.ledger)
        if (status !== 'ENDED') wrong.push(`attempt ${attempt} of ${key} is ${status} for ever`)
      for (const timer of instance.timers)
        if (timer.at < cluster.now() - 30_000) wrong.push(`timer ${timer.name} of ${key} never fired`)
    }
    if (quick) continue
    const owners = workers.map(w => w.task(at)).filter(t => t?.state === 'RUNNING' && t.position >= position)
    if (owners.length === 0) wrong.push(`nobody runs partition ${partition}`)
    for (const task of owners) {
      for (const [key, { state }] of folded.instances) {
        if (show(task?.peek(key)) !== show(state))
          wrong.push(`state of ${key} is ${show(task?.peek(key))}, folding the inbox gives ${show(state)}`)
      }
    }
  }
  if (quick) return wrong
  compareOutputs(cluster, [...actor.emits.map(t => t.name), 'dead.letters'], outputs, wrong)
  checkInputs(cluster, sent, wrong)
  checkEffects(done, ended, wrong)
  return wrong
}

/** The inbox once more, through the pure step alone. */
function fold(actor: ActorDefinition, cluster: Contents, partition: number, wrong: string[], ended: Map<string, string>) {
  const at = { topic: trialInbox.name, partition }
  const instances = new Map<string, Instance>()
  const emits: Emit[] = []
  const inputs = new Map<string, unknown>()
  const place: Place = {
    scope: `${identity(cluster, partition)}/${trialInbox.name}/${partition}`,
    ...at,
    codec,
    codeVersion: '1',
    owner: '',
    input: (_key, attempt) => inputs.get(attempt),
  }
  for (const { key, value, offset, timestamp, headers } of cluster.all(at)) {
    if (key === null || value === null) continue
    const record = codec.decode(value)
    const before = instances.get(key) ?? null
    const step = handle(actor, before, { key, offset, timestamp, headers, raw: value, record }, place)
    instances.set(key, step.instance)
    emits.push(...step.emits)
    for (const { attempt, input } of step.performed) inputs.set(attempt, recordSchema('TrialEffect').type.fromBuffer(input))
    if (step.result === 'handled') {
      if (record.type === 'EffectEnded' && !['RELEASED', 'RETRY'].includes(record.value.outcome))
        ended.set(record.value.attempt, record.value.outcome)
      else if (record.type === 'TrialDone') {
        const attempt = headers.attempt as string
        const former = ended.get(attempt)
        if (former === undefined) ended.set(attempt, 'done')
        else if (former !== 'UNKNOWN') wrong.push(`${attempt} had ended as ${former}, then its result was handled`)
        else if (lateOf(step.instance) !== lateOf(before) + 1)
          wrong.push(`${attempt} had ended as UNKNOWN, then its late result was taken as the first`)
      } else if (record.type === 'TimerDue') {
        const timer = before?.timers.find(t => t.name === record.value.name)
        if (timer?.version !== record.value.version) wrong.push(`a stale TimerDue fired timer ${record.value.name} of ${key}`)
        if (step.instance.now < (timer?.at ?? 0)) wrong.push(`timer ${record.value.name} of ${key} fired ahead of its time`)
      }
    }
  }
  return { instances, emits }
}

function identity(cluster: Contents, partition: number): string {
  for (const { value } of cluster.all({ topic: 'trial.changelog', partition })) {
    if (value === null) continue
    const record = codec.decode(value)
    if (record.type === 'LogIdentity') return record.value.id
  }
  return ''
}

const lateOf = (instance: Instance | null) => (instance?.state as TrialState | null)?.late ?? 0
const show = (value: unknown) => JSON.stringify(value)

/** Every output once, in the order of its partition of the inbox. */
function compareOutputs(cluster: Contents, topics: readonly string[], expected: readonly Emit[], wrong: string[]): void {
  for (const topic of topics) {
    const partitions = cluster.partitions.get(topic) ?? 1
    const seen = Array.from({ length: partitions }, (_, partition) => cluster.all({ topic, partition })).flat()
    const text = (key: string | null, value: Buffer | null) => `${key} ${value?.toString('base64')}`
    const counts = new Map<string, number>()
    for (const { key, value } of seen) counts.set(text(key, value), (counts.get(text(key, value)) ?? 0) + 1)
    for (const { topic: to, key, value } of expected) {
      if (to === topic) counts.set(text(key, value), (counts.get(text(key, value)) ?? 0) - 1)
    }
    for (const [what, count] of counts) {
      if (count === 0) continue
      const value = codec.decode(Buffer.from(what.slice(what.indexOf(' ') + 1), 'base64')).value
      wrong.push(
        `${count > 0 ? `${count} more` : `${-count} fewer`} on ${topic} than the inbox makes: ${what.split(' ')[0]} ${JSON.stringify(value)}`,
      )
    }
  }
}

/** Each input was handled, or refused, once. */
function checkInputs(cluster: Contents, sent: Evidence['sent'], wrong: string[]): void {
  const count = new Map<number, number>()
  const add = (sequence: number) => count.set(sequence, (count.get(sequence) ?? 0) + 1)
  for (const { value } of cluster.all({ topic: trialOutputs.name, partition: 0 })) {
    const record = value === null ? null : codec.decode(value)
    if (record?.type === 'TrialOutput' && record.value.what === 'handled') add(record.value.sequence)
  }
  const letters = cluster.partitions.get('dead.letters') ?? 1
  for (let partition = 0; partition < letters; partition++) {
    for (const { value } of cluster.all({ topic: 'dead.letters', partition })) {
      const letter = value === null ? null : codec.decode(value)
      const input = letter?.type === 'DeadLetter' ? codec.decode(letter.value.value) : null
      if (input?.type === 'TrialInput') add(input.value.sequence)
    }
  }
  for (const { sequence, kind } of sent.values()) {
    const times = count.get(sequence) ?? 0
    if (times !== 1) wrong.push(`input ${sequence} (${kind}) was handled ${times} times`)
  }
}

/** The outside agrees with what the actors were told. */
function checkEffects(done: readonly Done[], ended: ReadonlyMap<string, string>, wrong: string[]): void {
  const times = new Map<string, number>()
  for (const { attempt, effect } of done) {
    const count = (times.get(attempt) ?? 0) + 1
    times.set(attempt, count)
    if (effect === 'once' && count > 1) wrong.push(`${attempt} was done ${count} times, and may be done once`)
    if (!ended.has(attempt)) wrong.push(`${attempt} was done, and its actor was never told`)
  }
  for (const [attempt, outcome] of ended) {
    const count = times.get(attempt) ?? 0
    if (outcome === 'done' && count === 0) wrong.push(`${attempt} was told as done, and was not`)
    if ((outcome === 'EXPIRED' || outcome === 'NOT_DONE') && count > 0)
      wrong.push(`${attempt} was told as ${outcome}, and was done`)
  }
}
