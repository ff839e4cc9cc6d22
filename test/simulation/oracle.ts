/**
 * What must hold at the end of every run, whatever happened on the way: state = fold of each inbox; every output once; every
 * effect done once, or twice only where allowed, or told as unknown; nothing waits for ever.
 */
import { hash } from 'node:crypto'
import type { ActorDefinition } from '../../engine/actor.ts'
import type { Emit } from '../../engine/step/step.ts'
import type { Task } from '../../engine/task.ts'
import type { LogRecord, TopicPartition } from '../../topics/log.ts'
import { codec } from './codes.ts'
import { fold, type Folded, type Handling } from './oracle/fold.ts'
import type { Done } from './outside.ts'
import { trial, trialInbox } from './trial.ts'

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

/** What was handled of a partition, where the log alone does not say it. */
export interface Account {
  handled(at: TopicPartition): readonly Handling[]
  rebuilt(at: TopicPartition): ReadonlyMap<number, number>
  /** Inputs that need not have been handled, or may have been more than once. */
  readonly lost: ReadonlySet<number>
  readonly repeated: ReadonlySet<number>
  /** Records that were in the log once. */
  gone(topic: string): readonly LogRecord[]
  /** Attempts of states that are gone. */
  readonly forgotten: ReadonlySet<string>
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
  readonly actors?: readonly ActorDefinition[]
  readonly account?: Account
}

/** Returns what is wrong, empty when nothing is. */
export function check({
  cluster,
  done,
  sent,
  workers,
  quick,
  actor = trial as never,
  actors = [actor],
  account,
}: Evidence): string[] {
  const wrong: string[] = []
  const all: Folded[] = []
  const { handled, rebuilt } = account ?? accountOf(cluster, actor)
  for (const { inbox } of actors) {
    for (let partition = 0; partition < (cluster.partitions.get(inbox.name) ?? 0); partition++) {
      const at = { topic: inbox.name, partition }
      const position = cluster.committed(at) ?? 0
      if (cluster.all(at).some(r => r.offset >= position))
        wrong.push(`${inbox.name}/${partition} is read to ${position}, not to its end`)
      if (quick && wrong.length > 0) return wrong
      const folded = fold(handled(at), rebuilt(at))
      all.push(folded)
      checkOpen(folded, cluster, wrong)
      checkStates(folded, at, position, workers, quick, wrong)
    }
  }
  if (quick) return wrong
  for (const folded of all) wrong.push(...folded.wrong)
  const emits = all.flatMap(f => f.emits)
  const topics = new Set([...actors.flatMap(a => a.emits.map(t => t.name)), 'dead.letters'])
  const gone = (topic: string) => account?.gone(topic) ?? []
  compareOutputs(
    { partitions: cluster.partitions, all: at => cluster.all(at), gone },
    [...topics],
    emits,
    all.flatMap(f => f.unreadable),
    wrong,
  )
  checkInputs(all, sent, account, wrong)
  const forgotten = new Set([...(account?.forgotten ?? []), ...all.flatMap(f => [...f.revived])])
  checkEffects(done, new Map(all.flatMap(f => [...f.ended])), forgotten, wrong)
  return wrong
}

/** Everything in the inbox, in one piece. */
function accountOf(cluster: Contents, definition: ActorDefinition): Pick<Account, 'handled' | 'rebuilt'> {
  return {
    rebuilt: () => new Map(),
    handled: at => {
      const scope = `${identity(cluster, at.partition)}/${trialInbox.name}/${at.partition}`
      return cluster.all(at).map((record, commit) => ({ record, definition, codeVersion: '1', scope, commit }))
    },
  }
}

function identity(cluster: Contents, partition: number): string {
  for (const { value } of cluster.all({ topic: 'trial.changelog', partition })) {
    if (value === null) continue
    const record = codec.decode(value)
    if (record.type === 'LogIdentity') return record.value.id
  }
  return ''
}

/** Nothing waits for ever. */
function checkOpen({ instances }: Folded, cluster: Contents, wrong: string[]): void {
  for (const [key, instance] of instances) {
    for (const { attempt, status } of instance.ledger)
      if (status !== 'ENDED') wrong.push(`attempt ${attempt} of ${key} is ${status} for ever`)
    for (const timer of instance.timers)
      if (!timer.name.startsWith('\0') && timer.at < cluster.now() - 30_000)
        wrong.push(`timer ${timer.name} of ${key} never fired`)
    if (instance.parked.length > 0) wrong.push(`${instance.parked.length} records of ${key} are parked for ever`)
  }
}

function checkStates(
  { instances }: Folded,
  at: TopicPartition,
  position: number,
  workers: readonly Holder[],
  quick: boolean,
  wrong: string[],
): void {
  const owners = workers.map(w => w.task(at)).filter(t => t?.state === 'RUNNING' && t.position >= position)
  if (owners.length === 0) wrong.push(`nobody runs ${at.topic}/${at.partition}`)
  if (quick) return
  for (const task of owners) {
    for (const [key, { state }] of instances) {
      if (show(task?.peek(key)) !== show(state))
        wrong.push(`state of ${key} on ${at.topic} is ${show(task?.peek(key))}, folding the inbox gives ${show(state)}`)
    }
  }
}

const show = (value: unknown) => JSON.stringify(value)

/** Every output once. */
function compareOutputs(
  cluster: Pick<Contents, 'partitions' | 'all'> & Pick<Account, 'gone'>,
  topics: readonly string[],
  expected: readonly Emit[],
  unreadable: Folded['unreadable'],
  wrong: string[],
): void {
  const letters = new Map<string, number>()
  const of = (topic: string, partition: number, offset: number) => `${topic}/${partition} offset ${offset}`
  for (const { at, offset } of unreadable) {
    const which = of(at.topic, at.partition, offset)
    letters.set(which, (letters.get(which) ?? 0) + 1)
  }
  for (const topic of topics) {
    const partitions = cluster.partitions.get(topic) ?? 1
    const seen = Array.from({ length: partitions }, (_, partition) => cluster.all({ topic, partition }))
      .flat()
      .concat(cluster.gone(topic))
    const counts = new Map<string, { count: number; value: Buffer | null }>()
    const add = (key: string | null, value: Buffer | null, count: number) => {
      const id = `${key} ${value === null ? '' : hash('sha1', value, 'hex')}`
      counts.set(id, { count: (counts.get(id)?.count ?? 0) + count, value })
    }
    for (const { key, value, headers } of seen) {
      const record = value === null ? null : codec.decode(value)
      if (record?.type === 'DeadLetter' && record.value.recordType === '' && record.value.topic.endsWith('.inbox')) {
        const which = of(record.value.topic, record.value.partition, record.value.offset)
        letters.set(which, (letters.get(which) ?? 0) - 1)
      } else if (topic.endsWith('.inbox') && (record?.type !== 'TrialInput' || headers.id !== undefined)) continue
      else add(key, value, 1)
    }
    for (const { topic: to, key, value } of expected) if (to === topic) add(key, value, -1)
    for (const [id, { count, value }] of counts) {
      if (count === 0) continue
      const what = value === null ? null : codec.decode(value).value
      const number = count > 0 ? `${count} more` : `${-count} fewer`
      wrong.push(`${number} on ${topic} than the inbox makes: ${id.split(' ')[0]} ${show(what)?.slice(0, 300)}`)
    }
  }
  for (const [which, count] of letters)
    if (count !== 0) wrong.push(`the unreadable record of ${which} has ${1 - count} dead letters`)
}

/** Each input was handled, or refused, once. */
function checkInputs(all: readonly Folded[], sent: Evidence['sent'], account: Account | undefined, wrong: string[]): void {
  const own = all.filter(f => f.inputs.size > 0)
  const count = (sequence: number) => own.reduce((sum, { inputs }) => sum + (inputs.get(sequence) ?? 0), 0)
  for (const { sequence, kind } of sent.values()) {
    const times = count(sequence)
    if (times <= 1 && (account?.lost.has(sequence) ?? false)) continue
    if (times >= 1 && (account?.repeated.has(sequence) ?? false)) continue
    if (times !== 1) wrong.push(`input ${sequence} (${kind}) was handled ${times} times`)
  }
}

/** The outside agrees with what the actors were told, but for attempts of states that were given up. */
function checkEffects(
  done: readonly Done[],
  ended: ReadonlyMap<string, string>,
  forgotten: ReadonlySet<string>,
  wrong: string[],
): void {
  const times = new Map<string, number>()
  for (const { attempt, effect } of done) {
    if (forgotten.has(attempt)) continue
    const count = (times.get(attempt) ?? 0) + 1
    times.set(attempt, count)
    if (effect !== 'again' && count > 1) wrong.push(`${attempt} was done ${count} times, and may be done once`)
    if (!ended.has(attempt)) wrong.push(`${attempt} was done, and its actor was never told`)
  }
  for (const [attempt, outcome] of ended) {
    if (forgotten.has(attempt)) continue
    const count = times.get(attempt) ?? 0
    if (outcome === 'done' && count === 0) wrong.push(`${attempt} was told as done, and was not`)
    if ((outcome === 'EXPIRED' || outcome === 'NOT_DONE') && count > 0)
      wrong.push(`${attempt} was told as ${outcome}, and was done`)
  }
}
