/**
 * Every task of the installation, wherever it lives: what the workers of this process say of theirs, and of the others what the log
 * says. A stop and a person's decision are records of a changelog, and a task that stands still writes nothing behind them: they are
 * at its end.
 *
 *   … Envelope, TaskPosition, TaskStop │ TaskDecision        the end of the changelog of a task that was stopped and resumed
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
  /** Group of the workers that have its tasks. */
  readonly group: string
}

export interface TaskView {
  readonly actor: string
  readonly inbox: string
  readonly partition: number
  /** UNKNOWN: no worker of this process has it, and its changelog tells of no stop. */
  readonly state: TaskStatus['state'] | 'UNKNOWN'
  /** The worker of this process that has it. */
  readonly worker: string | null
  /** Next offset of the inbox to handle; null where none is known. */
  readonly position: number | null
  /** First offset of the inbox that is there, and the next one to be written. */
  readonly first: number
  readonly end: number
  readonly stopped: { readonly cause: string; readonly at: Date | null; readonly codeVersion: string | null } | null
  readonly waits: string | null
  /** The newest decision, where the end of the changelog still shows it. */
  readonly decision: (Omit<TaskDecision, 'at'> & { readonly at: Date }) | null
}

/** What the end of a changelog says. */
interface Told {
  readonly stop: TaskStop | null
  readonly decision: TaskDecision | null
}

/** How far the end of a changelog is looked through, offsets: a piece at a time, as long as only decisions are there. */
const PIECE = 16
const FARTHEST = 512
const PIECE_BYTES = 1024 * 1024
const READ_MS = 1_000
const AT_ONCE = 8
/** A task of another process with records to handle that has not moved for so long stands still, ms. */
const STANDS_MS = 3_000
const LOOK_MS = 250

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

  /** By inbox and partition; those without a worker here that never had a record are left out. @throws {Problem} `unavailable` when the log cannot be asked */
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
      throw new Problem('not_found', `no actor has an inbox "${inbox}"; there are: ${known}`)
    }
    const [view] = await this.#of(actor, partition)
    if (view === undefined) throw new Problem('not_found', `${inbox} has no partition ${partition}`)
    return view
  }

  /**
   * Appends a decision, for the worker that has the task to find.
   * @throws {Problem} `conflict` when the task does not stand still, `invalid_offset`, `not_found`, `unavailable`
   */
  async decide(where: TopicPartition, { id, action, offset, by, reason }: Omit<TaskDecision, 'at'>): Promise<void> {
    const view = await this.one(where.topic, where.partition)
    // A repeated request, of which nobody knew whether it was done.
    if (view.decision?.id === id) return
    await this.#checkStands(view, action)
    if (action === 'ACCEPT' && (offset < view.first || offset > view.end)) {
      const held = `${view.inbox}/${view.partition} holds ${view.first} up to ${view.end}`
      throw new Problem('invalid_offset', `${offset} is not an offset to go on from: ${held}, which is after its last record`)
    }
    const { changelog } = this.#actors.find(a => a.inbox === view.inbox) as TaskActor
    const decision = { id, action, offset, by, reason, at: Date.now() }
    const value = this.#codec.encode(changelog, 'TaskDecision', decision)
    await asked(this.#log.append([{ topic: changelog, partition: view.partition, key: reserved.decision, value }]))
  }

  /**
   * The worker of this process knows whether its task stands still. Of a task elsewhere the changelog tells only of some stops: where
   * it does not, to resume or to rebuild does no harm to one that runs, but an offset would.
   */
  async #checkStands(view: TaskView, action: TaskAction): Promise<void> {
    if (view.stopped !== null) return
    const name = `${view.inbox}/${view.partition}`
    if (view.waits !== null)
      throw new Problem('conflict', `${name} is not stopped: it waits, and is tried again by itself: ${view.waits}`)
    if (view.worker !== null) throw new Problem('conflict', `${name} is not stopped: it is ${view.state}`)
    if (action !== 'ACCEPT' || (await this.#standsStill(view))) return
    throw new Problem('conflict', `${name} is not stopped: another process has it, and it goes on or has nothing to handle`)
  }

  async #standsStill(before: TaskView): Promise<boolean> {
    for (const until = performance.now() + STANDS_MS; ; ) {
      const { position, first, end } = await this.one(before.inbox, before.partition)
      if (position !== before.position) return false
      // Out of what the log holds no worker can go on.
      if (position !== null && (position < first || position > end)) return true
      if ((position ?? first) === end) return false
      if (performance.now() > until) return true
      await new Promise(resolve => setTimeout(resolve, LOOK_MS))
    }
  }

  /** The tasks of an actor, or the one of a partition; none where its topics are not there. */
  async #of({ name, inbox, changelog, group }: TaskActor, only?: number): Promise<TaskView[]> {
    const [inboxes, changelogs] = await asked(Promise.all([this.#ends(inbox), this.#ends(changelog)]))
    const wanted = inboxes.filter(({ partition }) => only === undefined || partition === only)
    const here = this.#here(inbox)
    const allRun = wanted.every(({ partition }) => here.get(partition)?.status.state === 'RUNNING')
    const committed = allRun ? [] : await asked(this.#log.groupOffsets(group))
    const views: TaskView[] = []
    const queue = wanted.values()
    const lane = async () => {
      for (const { partition, low: first, high: end } of queue) {
        const { worker, status } = here.get(partition) ?? { worker: null, status: null }
        const of = changelogs.find(e => e.partition === partition)
        const told: Told =
          status !== null && only === undefined && !isStopped(status)
            ? { stop: null, decision: null }
            : await asked(this.#told({ topic: changelog, partition }, of))
        const offset = committed.find(p => p.topic === inbox && p.partition === partition)?.offset ?? null
        views.push({
          actor: name,
          inbox,
          partition,
          state: status?.state ?? (told.stop === null ? 'UNKNOWN' : 'STOPPED'),
          worker,
          // One that stands still may not have come so far as to know where.
          position:
            status?.state === 'RUNNING' ? status.position : (offset ?? (status?.state === 'STOPPED' ? status.position : null)),
          first,
          end,
          stopped: stoppedOf(status, told.stop),
          waits: status?.waits ?? null,
          decision: told.decision === null ? null : { ...told.decision, at: new Date(told.decision.at) },
        })
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, lane))
    return views
  }

  /** Tasks of this inbox that workers of this process have. */
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

  /** Reads the end of a changelog backwards, a piece at a time. */
  async #told(changelog: TopicPartition, ends: Ends | undefined): Promise<Told> {
    const { low, high } = ends ?? { low: 0, high: 0 }
    let decision: TaskDecision | null = null
    for (let until = high; until > Math.max(low, high - FARTHEST); until -= PIECE) {
      const from = Math.max(low, until - PIECE)
      for (const { key, value } of (await this.#read(changelog, from, until)).reverse()) {
        const known = value === null || !key?.startsWith('\0') ? null : this.#codec.decode(value)
        if (key === reserved.decision) decision ??= known?.type === 'TaskDecision' ? known.value : null
        // Whatever was decided after it lets it go on.
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
      const read = await this.#log.read(at, next, { maxBytes: PIECE_BYTES, wait: READ_MS })
      records.push(...read.records.filter(({ offset }) => offset < until))
      // What an open transaction holds back is not there yet.
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

/** @throws {Problem} `unavailable` when the log cannot do it now */
async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof LogError)) throw error
    throw new Problem('unavailable', `the log cannot be asked now: ${messageOf(error)}`, { cause: error })
  }
}
