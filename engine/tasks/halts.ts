/**
 * Halted tasks. A halted task continues once a person has decided so, which is a record of its changelog, or once the cause is gone by
 * itself.
 */
import { type Assignment, LogError, partitionKey } from '../../topics/log.ts'
import { reserved } from '../changelog.ts'
import { Fatal } from '../errors.ts'
import type { Task } from '../task.ts'
import type { AssignedTasks } from './assigned-tasks.ts'
import type { TasksSettings } from './settings.ts'

/** How often the changelog is read for a decision. */
const WATCH_MS = 500
const READ_BYTES = 64 * 1024

export class Halts {
  readonly #settings: TasksSettings
  readonly #assigned: AssignedTasks
  readonly #restore: (assignment: Assignment, task: Task) => Promise<void>
  /** What resolves when the cause of a halt is gone by itself. */
  readonly #cures = new WeakMap<Task, () => Promise<void>>()

  constructor(settings: TasksSettings, assigned: AssignedTasks, restore: (assignment: Assignment, task: Task) => Promise<void>) {
    this.#settings = settings
    this.#assigned = assigned
    this.#restore = restore
  }

  /** Halts the task if that is pending and nothing of it is left to be committed. `cure` resolves when the cause is gone. */
  settle(task: Task, cure?: () => Promise<void>): void {
    if (cure !== undefined) this.#cures.set(task, cure)
    const cause = task.pendingHalt
    if (cause !== null && task.state === 'RUNNING') this.halt(task, cause)
  }

  /** Halts the task at once; what it has not committed is dropped. */
  halt(task: Task, cause: string): void {
    const { assignment } = this.#assigned
    if (assignment === null) return
    task.halt(cause)
    this.halted(task)
  }

  /** The task has been halted, and waits for a decision. */
  halted(task: Task): void {
    const { assignment } = this.#assigned
    if (assignment === null) return
    const cure = this.#cures.get(task)
    this.#cures.delete(task)
    this.#settings.onError(`task ${partitionKey(task.inbox)} halted`, new Fatal('stopped', task.stopped?.cause ?? ''))
    this.#assigned.track(async () => {
      ;(await this.#settings.joined).stop(task.inbox)
      await this.#untilDecided(assignment, task, cure)
    })
  }

  async #untilDecided(assignment: Assignment, task: Task, cure?: () => Promise<void>): Promise<void> {
    const { log } = this.#settings
    const { epoch } = task
    const moved = () => !this.#assigned.isCurrent(assignment) || task.epoch !== epoch
    const backoff = this.#assigned.newBackoff(WATCH_MS)
    for (let at = task.changelogNext, decided = false; !decided; ) {
      try {
        await this.#assigned.pause(WATCH_MS)
        if (moved()) return
        const { records, next } = await log.read(task.changelog, at, { maxBytes: READ_BYTES })
        at = next
        decided = records.some(({ key, value }) => key === reserved.decision && value !== null)
        decided ||= cure !== undefined && (await cure().then(yes, no))
      } catch (error) {
        if (error instanceof LogError && error.code === 'closed') return
        await this.#assigned.pause(backoff.next())
      }
    }
    if (moved()) return
    task.discard()
    const slot = this.#assigned.slotOf(task)
    if (slot !== null) Object.assign(slot, { distrusted: false, doubts: 0 })
    await this.#restore(assignment, task)
  }
}

const yes = () => true
const no = () => false
