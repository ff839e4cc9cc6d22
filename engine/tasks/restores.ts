/** Restores of tasks: fence first, then stable offsets, then the changelogs; each task starts as soon as it is restored. */
import { type Assignment, partitionKey, type Position } from '../../topics/log.ts'
import { Fatal, messageOf, Retryable } from '../errors.ts'
import { restore } from '../restore.ts'
import type { Task } from '../task.ts'
import { type AssignedTasks, AssignmentChanged, distrust, type Slot } from './assigned-tasks.ts'
import { Halts } from './halts.ts'
import { reportLoss, type TasksSettings } from './settings.ts'

/** Tasks restored concurrently: one reads while another writes. */
const RESTORE_CONCURRENCY = 4
/** When the leader of a partition moves, its end may for a moment lag behind what was read of it. */
const MAY_PASS: ReadonlySet<string> = new Set(['beyond', 'rolled_back', 'no_changelog'])
const MAX_DOUBTS = 3

export class Restores {
  readonly #settings: TasksSettings
  readonly #assigned: AssignedTasks
  readonly halts: Halts
  /** Restores that are under way: what they write must land before the next one restores. */
  readonly #writing = new Set<Promise<void>>()

  constructor(settings: TasksSettings, assigned: AssignedTasks) {
    this.#settings = settings
    this.#assigned = assigned
    this.halts = new Halts(settings, assigned, (assignment, task) => this.restore(assignment, [task], false))
  }

  /** What restores that were broken off still write has landed. */
  async landed(): Promise<void> {
    await Promise.all(this.#writing)
  }

  /** @param kept tasks that the former assignment ran, to be continued as they are if nothing has happened meanwhile */
  async restore(
    assignment: Assignment,
    tasks: readonly Task[],
    fence: boolean,
    kept: ReadonlySet<Task> = new Set(),
  ): Promise<void> {
    const { clock, joined, onError } = this.#settings
    const since = clock.mono()
    const epochs = new Map(tasks.map(task => [task, task.epoch]))
    const left = () => tasks.filter(task => this.#assigned.isCurrent(assignment) && task.epoch === epochs.get(task))
    const backoff = this.#assigned.newBackoff()
    let committed: Position[] | null = null
    while (committed === null) {
      if (left().length === 0) return
      try {
        const membership = await joined
        if (fence) await this.#settings.fence()
        committed = await membership.committed(left().map(t => t.inbox))
      } catch (error) {
        if (!this.#assigned.isCurrent(assignment)) return
        for (const task of left()) this.#assigned.setWaits(task, `the log does not answer: ${messageOf(error)}`)
        onError('cannot restore tasks; trying again', error)
        await this.#assigned.pause(backoff.next())
      }
    }
    const positions = new Map(committed.map(p => [partitionKey(p), p]))
    await eachOf(left(), RESTORE_CONCURRENCY, task => {
      return this.#restoreOne(assignment, task, positions.get(partitionKey(task.inbox)), since, kept.has(task))
    })
  }

  async #restoreOne(
    assignment: Assignment,
    task: Task,
    committed: Position | undefined,
    since: number,
    kept: boolean,
  ): Promise<void> {
    const slot = this.#assigned.slotOf(task)
    const { epoch } = task
    const assertCurrent = () => {
      if (!this.#assigned.isCurrent(assignment) || task.epoch !== epoch) throw new AssignmentChanged()
    }
    if (slot === null) return
    try {
      const membership = await this.#settings.joined
      assertCurrent()
      const keeps = kept && (await this.#unchanged(task, committed))
      assertCurrent()
      if (keeps) task.keep()
      else await this.#fromChangelog(task, slot, committed, assertCurrent)
      if (!this.#assigned.isCurrent(assignment)) return
      slot.waits = null
      if (task.stopped !== null) {
        this.halts.halted(task)
        return
      }
      this.#settings.restored(task, since)
      membership.start(task.rewind())
      membership.wake()
    } catch (error) {
      if (error instanceof AssignmentChanged || !this.#assigned.isCurrent(assignment)) return
      const passing = await this.#stillMoves(task, committed, error)
      if (!this.#assigned.isCurrent(assignment) || (passing !== null && task.epoch !== epoch)) return
      this.#notRestored(assignment, slot, task, passing ?? error)
    }
  }

  async #fromChangelog(task: Task, slot: Slot, committed: Position | undefined, assertCurrent: () => void): Promise<void> {
    const { log, codec, clock, newId, maxCheckpointAge } = this.#settings
    task.transition('RESTORING')
    const { writerSchemas } = task
    const turn = clock.turn ?? (async () => {})
    const { distrusted } = slot
    const wallClock = clock.now
    const options = {
      log,
      codec,
      writerSchemas,
      task,
      committed,
      wallClock,
      maxCheckpointAge,
      distrusted,
      newId,
      turn,
      assertCurrent,
    }
    const restoring = task.writer.written().then(() => restore(options))
    const landed = restoring.then(
      () => {},
      () => {},
    )
    this.#writing.add(landed)
    void landed.then(() => this.#writing.delete(landed))
    await restoring
  }

  /**
   * An offset that keeps moving is committed by the task's new owner, of which this member has not heard yet. Null if nobody commits: then
   * a person has moved it.
   */
  async #stillMoves(task: Task, committed: Position | undefined, error: unknown): Promise<Retryable | null> {
    if (!(error instanceof Fatal) || error.code !== 'moved') return null
    try {
      const [now] = await (await this.#settings.joined).committed([task.inbox])
      return now?.offset === committed?.offset ? null : new Retryable('moving', error.message, { cause: error })
    } catch (cause) {
      return new Retryable('moving', messageOf(cause), { cause })
    }
  }

  /** What needs a person halts the task; all else is retried, apart from the restores of other tasks. */
  #notRestored(assignment: Assignment, slot: Slot, task: Task, error: unknown): void {
    reportLoss(this.#settings, error)
    const passes = error instanceof Fatal && MAY_PASS.has(error.code) && ++slot.doubts <= MAX_DOUBTS
    if ((error instanceof Fatal && !passes) || !distrust(slot, error)) {
      this.halts.halt(task, messageOf(error))
      return
    }
    task.transition('RESTORING')
    this.#assigned.setWaits(task, `it cannot be restored: ${messageOf(error)}`)
    if (!(error instanceof Retryable && error.code === 'moving'))
      this.#settings.onError(`task ${partitionKey(task.inbox)}: restore failed; trying again`, error)
    const { epoch } = task
    this.#assigned.track(async () => {
      await this.#assigned.pause(slot.backoff.next())
      if (this.#assigned.isCurrent(assignment) && task.epoch === epoch) await this.restore(assignment, [task], false)
    })
  }

  /** The committed offset is the one that this task wrote, and its changelog has no record after its own. */
  async #unchanged(task: Task, committed: Position | undefined): Promise<boolean> {
    const { log } = this.#settings
    const { changelog, changelogNext, position } = task
    if (committed?.offset !== position) return false
    const high = (await log.ends(changelog.topic)).find(e => e.partition === changelog.partition)?.high ?? 0
    if (high < changelogNext) return false
    for (let at = changelogNext; at < high; ) {
      const { records, next } = await log.read(changelog, at, { wait: 1_000 })
      if (records.length > 0) return false
      at = next
    }
    return true
  }
}

/** Runs `work` for each item, `concurrency` at a time. @throws the first error, once all that were begun have ended */
async function eachOf<T>(items: readonly T[], concurrency: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  const lane = async () => {
    for (const item of queue) await work(item)
  }
  const lanes = await Promise.allSettled(Array.from({ length: concurrency }, lane))
  for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason
}
