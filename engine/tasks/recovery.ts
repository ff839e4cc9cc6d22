/**
 * Recovery of tasks at run time. A failed task drops its memory once the commit on its way has ended, and is restored after a growing
 * pause; a partition that cannot be handled at present waits while the others go on.
 */
import { type Assignment, type LogError, partitionKey } from '../../topics/log.ts'
import { Fatal, messageOf } from '../errors.ts'
import type { Task } from '../task.ts'
import { type AssignedTasks, distrust } from './assigned-tasks.ts'
import type { Restores } from './restores.ts'
import { reportLoss, type TasksSettings } from './settings.ts'

export class Recovery {
  readonly #settings: TasksSettings
  readonly #assigned: AssignedTasks
  readonly #restores: Restores
  /** Tasks that failed, until the commit on its way has ended. */
  readonly #failing = new Set<Task>()
  /** Tasks that are held, by the epoch in which they are. */
  readonly #held = new WeakMap<Task, number>()

  constructor(settings: TasksSettings, assigned: AssignedTasks, restores: Restores) {
    this.#settings = settings
    this.#assigned = assigned
    this.#restores = restores
  }

  /** The assignment has changed: what failed is restored with it. */
  reset(): void {
    this.#failing.clear()
  }

  /** A transaction of this task has been committed. */
  succeeded(task: Task): void {
    const slot = this.#assigned.slotOf(task)
    if (slot === null) return
    slot.backoff.reset()
    slot.distrusted = false
    slot.doubts = 0
  }

  /** The partition cannot be read at present, or can be again (null). */
  unreadable(task: Task, error: LogError | null): void {
    const slot = this.#assigned.slotOf(task)
    if (slot === null) return
    if (error?.code === 'gap') {
      task.haltAfterCommit(`${error.message}. Restore the records, or decide to accept from an offset that is there`)
    } else if (error !== null) this.#settings.onError(`${partitionKey(task.inbox)} cannot be read; trying again`, error)
    slot.waits = error === null ? null : `it cannot be read: ${error.message}`
  }

  /**
   * Something of this task has failed: its memory is dropped. A transaction of it may be on its way, so that the log is asked for its
   * state only after that has ended.
   */
  fail(task: Task, error: unknown): void {
    const { assignment } = this.#assigned
    const slot = this.#assigned.slotOf(task)
    if (slot === null || assignment === null || task.state !== 'RUNNING') return
    reportLoss(this.#settings, error)
    if (error instanceof Fatal || !distrust(slot, error)) {
      task.haltAfterCommit(messageOf(error))
      this.#restores.halts.settle(task)
      return
    }
    this.#settings.onError(`task ${partitionKey(task.inbox)} failed; restoring it`, error)
    this.#assigned.setWaits(task, messageOf(error))
    task.transition('RESTORING')
    this.#failing.add(task)
    this.#assigned.track(async () => {
      ;(await this.#settings.joined).stop(task.inbox)
      await this.#settings.committed()
      // After a failed commit all tasks of it are restored, this one with them.
      if (!this.#failing.delete(task)) return
      task.discard()
      await this.#restoreAfter(assignment, [task], slot.backoff.next(), false)
    })
  }

  /** A transaction has failed: nothing of it counts, and every task goes back to what the log says. */
  failAll(ms: number, cause: string): void {
    const { assignment } = this.#assigned
    if (assignment === null) return
    const tasks = [...this.#assigned.running(), ...this.#failing]
    this.#failing.clear()
    for (const task of tasks) {
      task.discard()
      this.#assigned.setWaits(task, cause)
    }
    this.#assigned.track(async () => {
      const membership = await this.#settings.joined
      for (const task of tasks) membership.stop(task.inbox)
      await this.#restoreAfter(assignment, tasks, ms, true)
    })
  }

  async #restoreAfter(assignment: Assignment, tasks: readonly Task[], ms: number, fence: boolean): Promise<void> {
    const epochs = new Map(tasks.map(task => [task, task.epoch]))
    await this.#assigned.pause(ms)
    if (!this.#assigned.isCurrent(assignment)) return
    const same = tasks.filter(task => task.epoch === epochs.get(task))
    await this.#restores.restore(assignment, same, fence)
  }

  /**
   * Takes nothing of this partition until `until` has resolved; it is called again, ever less often, while it rejects. What was handed over
   * and not folded is read again. `hopeless` says when a person must help.
   */
  hold(task: Task, cause: string, until: () => Promise<void>, hopeless: (error: unknown, tries: number) => boolean): void {
    const { assignment } = this.#assigned
    if (assignment === null || this.#held.get(task) === task.epoch) return
    task.rewind()
    const { epoch } = task
    this.#held.set(task, epoch)
    const moved = () => !this.#assigned.isCurrent(assignment) || task.epoch !== epoch || task.state !== 'RUNNING'
    this.#assigned.setWaits(task, cause)
    this.#assigned.track(async () => {
      const membership = await this.#settings.joined
      if (moved()) return
      membership.stop(task.inbox)
      const backoff = this.#assigned.newBackoff()
      for (;;) {
        try {
          await this.#assigned.unlessChanged(until())
          break
        } catch (error) {
          if (moved()) return
          this.#assigned.setWaits(task, `${cause}: ${messageOf(error)}`)
          this.#settings.onError(`task ${partitionKey(task.inbox)} waits: ${cause}; trying again`, error)
          if (hopeless(error, backoff.failures)) {
            task.haltAfterCommit(`${cause}: ${messageOf(error)}`)
            this.#restores.halts.settle(task, until)
            return
          }
          await this.#assigned.pause(backoff.next())
        }
        if (moved()) return
      }
      if (moved()) return
      this.#held.delete(task)
      this.#assigned.setWaits(task, null)
      membership.start(task.rewind())
      membership.wake()
    })
  }
}
