/**
 * Every task of the installation, in whichever process it runs: from the workers of this process, and otherwise from the log. A halt
 * and an operator's decision are records of the changelog, and a halted task writes nothing after them, so they are at its end.
 *
 *   … Envelope, TaskPosition, TaskStop │ TaskDecision        the end of the changelog of a task that was halted and resumed
 */
import { messageOf } from '../engine/errors.ts'
import { reserved } from '../engine/changelog.ts'
import type { TaskStatus } from '../engine/worker.ts'
import type { TaskAction, TaskDecision, TaskStop } from '../schemas/types.ts'
import type { Codec } from '../topics/codec.ts'
import { type Ends, type Log, LogError, type LogRecord, type TopicPartition } from '../topics/log.ts'
import type { Workers } from './metrics.ts'
import { Problem } from './problem.ts'
import { isStopped } from './workers.ts'

export interface TaskActor {
  readonly name: string
  /** Topic of its inbox. */
  readonly inbox: string
  readonly changelog: string
  /** Consumer group of its workers. */
  readonly group: string
}

export interface TaskView {
  readonly actor: string
  readonly inbox: string
  readonly partition: number
  /** UNKNOWN: no worker of this process has it, and its changelog records no halt. */
  readonly state: TaskStatus['state'] | 'UNKNOWN'
  /** The worker of this process that has it. */
  readonly worker: string | null
  /** Next offset of the inbox to handle; null if unknown. */
  readonly position: number | null
  /** Log start and end offset of the inbox. */
  readonly first: number
  readonly end: number
  readonly stopped: { readonly cause: string; readonly at: Date | null; readonly codeVersion: string | null } | null
  readonly waits: string | null
  /** The latest decision, if the end of the changelog still holds it. */
  readonly decision: (Omit<TaskDecision, 'at'> & { readonly at: Date }) | null
}

/** What the end of a changelog records. */
interface ChangelogEnd {
  readonly stop: TaskStop | null
  readonly decision: TaskDecision | null
}

/** The end of a changelog is searched backwards in steps, while it holds only decisions. */
const STEP_OFFSETS = 16
const MAX_OFFSETS = 512
const READ_BYTES = 1024 * 1024
const READ_WAIT_MS = 1_000
const CONCURRENCY = 8
/** A task of another process is taken to be halted if it has records to handle and its position has not moved for this long. */
const STALLED_MS = 3_000
const POLL_MS = 250

export class TaskList {
  readonly #log: Log
  readonly #codec: Codec
  readonly #actors: readonly TaskActor[]
  readonly #workers: Workers

  constructor(options: { log: Log; codec: Codec; actors: readonly TaskActor[]; workers: Workers }) {
    this.#log = options.log
    this.#codec = options.codec
    this.#actors = options.actors
    this.#workers = options.workers
  }

  /** Sorted by inbox and partition, without unused tasks of other processes. @throws {Problem} `unavailable` if the log cannot be read */
  async all(): Promise<TaskView[]> {
    const views = await Promise.all(this.#actors.map(actor => this.#of(actor)))
    const used = views.flat().filter(({ worker, end, position }) => worker !== null || end > 0 || position !== null)
    return used.sort((a, b) => (a.inbox === b.inbox ? a.partition - b.partition : a.inbox < b.inbox ? -1 : 1))
  }

  /** @throws {Problem} `not_found`, `unavailable` */
  async one(inbox: string, partition: number): Promise<TaskView> {
    const actor = this.#actors.find(a => a.inbox === inbox)
    if (actor === undefined) {
      const known = this.#actors.map(a => a.inbox).join(', ') || 'none'
      throw new Problem('not_found', `no actor has the inbox "${inbox}"; known inboxes: ${known}`)
    }
    const [view] = await this.#of(actor, partition)
    if (view === undefined) throw new Problem('not_found', `${inbox} has no partition ${partition}`)
    return view
  }

  /**
   * Appends a decision to the changelog, where the task's worker reads it.
   * @throws {Problem} `conflict` if the task is not halted, `invalid_offset`, `not_found`, `unavailable`
   */
  async decide(where: TopicPartition, { id, action, offset, by, reason }: Omit<TaskDecision, 'at'>): Promise<void> {
    const view = await this.one(where.topic, where.partition)
    // A repeated request whose first attempt had succeeded.
    if (view.decision?.id === id) return
    await this.#requireHalted(view, action)
    if (action === 'ACCEPT' && (offset < view.first || offset > view.end)) {
      const range = `${view.inbox}/${view.partition} allows ${view.first} to ${view.end}, the end offset`
      throw new Problem('invalid_offset', `cannot continue at offset ${offset}: ${range}`)
    }
    const { changelog } = this.#actors.find(a => a.inbox === view.inbox) as TaskActor
    const decision = { id, action, offset, by, reason, at: Date.now() }
    const value = this.#codec.encode(changelog, 'TaskDecision', decision)
    await fromLog(this.#log.append([{ topic: changelog, partition: view.partition, key: reserved.decision, value }]))
  }

  /**
   * A worker of this process knows whether its task is halted. For tasks of other processes, the changelog does not record every halt:
   * resume and rebuild are harmless for a running task, but accepting an offset is not.
   */
  async #requireHalted(view: TaskView, action: TaskAction): Promise<void> {
    if (view.stopped !== null) return
    const name = `${view.inbox}/${view.partition}`
    if (view.waits !== null)
      throw new Problem('conflict', `${name} is not halted: it is waiting, and is retried automatically: ${view.waits}`)
    if (view.worker !== null) throw new Problem('conflict', `${name} is not halted: it is ${view.state}`)
    if (action !== 'ACCEPT' || (await this.#isStalled(view))) return
    throw new Problem(
      'conflict',
      `${name} is not halted: another process has it, and it is making progress or has nothing to handle`,
    )
  }

  async #isStalled(before: TaskView): Promise<boolean> {
    for (const until = performance.now() + STALLED_MS; ; ) {
      const { position, first, end } = await this.one(before.inbox, before.partition)
      if (position !== before.position) return false
      // No worker can continue at an offset that the log does not hold.
      if (position !== null && (position < first || position > end)) return true
      if ((position ?? first) === end) return false
      if (performance.now() > until) return true
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
    }
  }

  /** The tasks of an actor, or the one of a partition; none if its topics do not exist. */
  async #of({ name, inbox, changelog, group }: TaskActor, only?: number): Promise<TaskView[]> {
    const [inboxes, changelogs] = await fromLog(Promise.all([this.#ends(inbox), this.#ends(changelog)]))
    const wanted = inboxes.filter(({ partition }) => only === undefined || partition === only)
    const here = this.#here(inbox)
    const allRun = wanted.every(({ partition }) => here.get(partition)?.status.state === 'RUNNING')
    const committed = allRun ? [] : await fromLog(this.#log.groupOffsets(group))
    const views: TaskView[] = []
    const queue = wanted.values()
    const readNext = async () => {
      for (const { partition, low: first, high: end } of queue) {
        const { worker, status } = here.get(partition) ?? { worker: null, status: null }
        const of = changelogs.find(e => e.partition === partition)
        const changelogEnd: ChangelogEnd =
          status !== null && only === undefined && !isStopped(status)
            ? { stop: null, decision: null }
            : await fromLog(this.#readEnd({ topic: changelog, partition }, of))
        const offset = committed.find(p => p.topic === inbox && p.partition === partition)?.offset ?? null
        views.push({
          actor: name,
          inbox,
          partition,
          state: status?.state ?? (changelogEnd.stop === null ? 'UNKNOWN' : 'STOPPED'),
          worker,
          // A halted task may not know its position yet.
          position:
            status?.state === 'RUNNING' ? status.position : (offset ?? (status?.state === 'STOPPED' ? status.position : null)),
          first,
          end,
          stopped: stoppedOf(status, changelogEnd.stop),
          waits: status?.waits ?? null,
          decision: changelogEnd.decision === null ? null : { ...changelogEnd.decision, at: new Date(changelogEnd.decision.at) },
        })
      }
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, readNext))
    return views
  }

  /** The tasks of this inbox in this process, by partition. */
  #here(inbox: string): Map<number, { worker: string; status: TaskStatus }> {
    const found = new Map<number, { worker: string; status: TaskStatus }>()
    for (const [worker, status] of Object.entries(this.#workers)) {
      for (const task of status().tasks) if (task.topic === inbox) found.set(task.partition, { worker, status: task })
    }
    return found
  }

  async #ends(topic: string): Promise<readonly Ends[]> {
    try {
      return await this.#log.ends(topic)
    } catch (error) {
      if (error instanceof LogError && error.code === 'no_topic') return []
      throw error
    }
  }

  /** Searches the end of a changelog backwards. */
  async #readEnd(changelog: TopicPartition, ends: Ends | undefined): Promise<ChangelogEnd> {
    const { low, high } = ends ?? { low: 0, high: 0 }
    let decision: TaskDecision | null = null
    for (let until = high; until > Math.max(low, high - MAX_OFFSETS); until -= STEP_OFFSETS) {
      const from = Math.max(low, until - STEP_OFFSETS)
      for (const { key, value } of (await this.#read(changelog, from, until)).reverse()) {
        const known = value === null || !key?.startsWith('\0') ? null : this.#codec.decode(value)
        if (key === reserved.decision) decision ??= known?.type === 'TaskDecision' ? known.value : null
        // A decision after the halt has ended it.
        else if (key === reserved.stop)
          return { decision, stop: known?.type === 'TaskStop' && decision === null ? known.value : null }
        else if (key === reserved.position || !key?.startsWith('\0')) return { decision, stop: null }
      }
    }
    return { decision, stop: null }
  }

  async #read(at: TopicPartition, from: number, until: number): Promise<LogRecord[]> {
    const records: LogRecord[] = []
    for (let next = from; next < until; ) {
      const read = await this.#log.read(at, next, { maxBytes: READ_BYTES, wait: READ_WAIT_MS })
      records.push(...read.records.filter(({ offset }) => offset < until))
      // Records of an open transaction are not visible yet.
      if (read.next <= next) break
      next = read.next
    }
    await this.#codec.prepare(records.filter(({ key, value }) => value !== null && key?.startsWith('\0')))
    return records
  }
}

function stoppedOf(status: TaskStatus | null, stop: TaskStop | null): TaskView['stopped'] {
  if (status === null) return stop === null ? null : { ...stop, at: new Date(stop.at) }
  if (!isStopped(status)) return null
  const cause = status.stopped ?? ''
  return stop?.cause === cause ? { ...stop, at: new Date(stop.at) } : { cause, at: null, codeVersion: null }
}

/** @throws {Problem} `unavailable` if the log fails */
async function fromLog<T>(result: Promise<T>): Promise<T> {
  try {
    return await result
  } catch (error) {
    if (!(error instanceof LogError)) throw error
    throw new Problem('unavailable', `the log is unavailable: ${messageOf(error)}`, { cause: error })
  }
}
