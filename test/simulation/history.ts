/**
 * What was handled, in its order, by which code: read off the transactions that counted, for the log itself may lose it later.
 * What people have given up is kept apart.
 */
import { ASKED_BY } from '../../engine/headers.ts'
import { type LogRecord, partitionKey, type TopicPartition } from '../../topics/log.ts'
import type { Cluster, Commit } from './cluster/cluster.ts'
import { type Code, codec } from './codes.ts'
import type { Life } from './scheduler.ts'

/** A record as it was handled. */
export interface Handled {
  readonly record: LogRecord
  readonly code: Code
  /** What ids made of it begin with. */
  readonly scope: string
  /** Which transaction of its task it was in. */
  readonly commit: number
  /** What look-ups of its task were answered, by scope and what asked. */
  readonly answers: ReadonlyMap<string, Buffer>
}

interface TaskHistory {
  next: number
  logId: string
  inboxScope: string
  readonly handled: Handled[]
  readonly answers: Map<string, Buffer>
  /** Last offset in the changelog of each of its transactions. */
  readonly ends: number[]
  /** So many of them its changelog has kept, since it was made again or rolled back. */
  kept: number | null
  /** From here on in `handled`, the state is what it was after so many transactions. */
  readonly rebuilt: Map<number, number>
}

export class History {
  readonly #cluster: Cluster
  readonly #codeOf: (life: Life) => Code
  /** Partitions that nobody may handle before a person has decided, and why. */
  readonly frozen = new Map<string, string>()
  readonly #tasks = new Map<string, TaskHistory>()
  /** Records that nobody need handle any more. */
  readonly givenUp: LogRecord[] = []
  /** Records that the log has no more. */
  readonly gone: LogRecord[] = []
  /** Effects of the states that a changelog has lost. */
  readonly forgotten: Handled[] = []

  constructor(cluster: Cluster, codeOf: (life: Life) => Code) {
    this.#cluster = cluster
    this.#codeOf = codeOf
    cluster.onCommit = commit => this.#note(commit)
    cluster.handledTo = at => this.#tasks.get(partitionKey(at))?.next
  }

  of(at: TopicPartition): TaskHistory {
    const key = partitionKey(at)
    let found = this.#tasks.get(key)
    if (found === undefined) {
      found = { next: 0, logId: '', inboxScope: '', handled: [], answers: new Map(), ends: [], kept: null, rebuilt: new Map() }
      this.#tasks.set(key, found)
    }
    return found
  }

  /** A person goes on at this offset: whatever lies in front of it, and was not handled, is given up. */
  accepted(at: TopicPartition, offset: number): void {
    const task = this.of(at)
    this.#giveUp(
      task,
      this.#cluster.all(at).filter(r => r.offset < offset),
    )
    task.next = offset
  }

  /** These records are taken out of the log. */
  removed(at: TopicPartition, records: readonly LogRecord[]): void {
    this.gone.push(...records)
    this.#giveUp(this.of(at), records)
  }

  /** A changelog has been made again, or rolled back to this end. */
  cut(at: TopicPartition, changelogEnd: number): void {
    const task = this.of(at)
    task.kept = task.ends.filter(end => end < changelogEnd).length
    if (task.kept < task.ends.length) this.freeze(at, 'its changelog has lost something')
    task.ends.length = task.kept
  }

  /** A person has the state rebuilt from what the changelog still has. */
  rebuilt(at: TopicPartition): void {
    const task = this.of(at)
    const kept = task.kept ?? task.ends.length
    for (const handled of task.handled) if (handled.commit >= kept) this.forgotten.push(handled)
    task.rebuilt.set(task.handled.length, kept)
    task.kept = null
  }

  /** Nothing of it may be handled before a person has decided; nothing has to be, where nothing was before. */
  freeze(at: TopicPartition, why: string): void {
    if (this.of(at).next > 0) this.frozen.set(partitionKey(at), why)
  }

  #giveUp({ handled }: TaskHistory, records: readonly LogRecord[]): void {
    const known = new Set(handled.map(h => h.record))
    for (const record of records) if (!known.has(record)) this.givenUp.push(record)
  }

  #note({ life, written, offsets }: Commit): void {
    const code = this.#codeOf(life)
    for (const { topic, partition, key, value } of written) {
      const actor = code.actors.find(a => topic === `${a.name}.changelog`)
      if (actor === undefined || value === null || !key?.startsWith('\0')) continue
      const record = codec.decode(value)
      const task = this.of({ topic: actor.inbox.name, partition })
      if (record.type === 'LogIdentity') task.logId = record.value.id
      if (record.type === 'TaskInbox') task.inboxScope = record.value.scope
    }
    for (const { topic, partition, offset } of offsets) {
      const at = { topic, partition }
      const task = this.of(at)
      const frozen = this.frozen.get(partitionKey(at))
      if (frozen !== undefined && offset > task.next)
        this.#cluster.violations.push(`${life.name} handled ${partitionKey(at)} behind ${task.next}, though ${frozen}`)
      if (offset < task.next)
        this.#cluster.violations.push(`${life.name} put ${partitionKey(at)} back from ${task.next} to ${offset}`)
      const scope = `${task.logId}${task.inboxScope}/${topic}/${partition}`
      const commit = task.ends.length
      const journal = code.actors.find(a => a.inbox.name === topic)?.journal?.name
      for (const { topic: to, partition: of, headers, value } of written)
        if (to === journal && of === partition && value !== null) task.answers.set(`${scope} ${headers?.[ASKED_BY]}`, value)
      for (const record of this.#cluster.partition(at).written)
        if (record.offset >= task.next && record.offset < offset)
          task.handled.push({ record, code, scope, commit, answers: task.answers })
      const changelog = topic.replace(/inbox$/, 'changelog')
      const last = written.findLast(w => w.topic === changelog && w.partition === partition)
      if (last !== undefined) task.ends.push(last.offset)
      task.next = offset
    }
  }
}
