/**
 * The tasks that the group has assigned to a worker: opened, restored, held, halted, given back. A failure concerns as few of them as
 * possible, is retried with growing pauses, and shows in the status meanwhile.
 *
 *   assign ─▶ open ─▶ restore ─▶ start          hold: the partition waits (a schema, its store) while the others go on
 *                        ▲  │                   fail: its memory is dropped, once the commit on its way has ended
 *              decision ─┘  └─▶ halted
 */
import type { Assignment } from '../topics/log.ts'
import type { Task } from './task.ts'
import { AssignedTasks, type Slot } from './tasks/assigned-tasks.ts'
import type { Halts } from './tasks/halts.ts'
import { LocalStores } from './tasks/local-stores.ts'
import { Recovery } from './tasks/recovery.ts'
import { Restores } from './tasks/restores.ts'
import type { TasksSettings } from './tasks/settings.ts'

export class Tasks {
  readonly #settings: TasksSettings
  readonly assigned: AssignedTasks
  readonly recovery: Recovery
  readonly halts: Halts
  readonly stores: LocalStores
  readonly #restores: Restores
  /** Handovers of earlier assignments: an assignment may come while that of another is still going on. */
  #handover: Promise<void> = Promise.resolve()

  constructor(settings: TasksSettings) {
    this.#settings = settings
    this.assigned = new AssignedTasks(settings)
    this.stores = new LocalStores(settings, this.assigned)
    this.#restores = new Restores(settings, this.assigned)
    this.halts = this.#restores.halts
    this.recovery = new Recovery(settings, this.assigned, this.#restores)
  }

  assign(assignment: Assignment): void {
    const { assignment: last, slots } = this.assigned.replace(assignment, this.#settings.actors)
    this.recovery.reset()
    // Nobody else can have owned a task in between.
    const consecutive = last !== null && last.member === assignment.member && assignment.generation === last.generation + 1
    const handover = this.#handover.then(() => this.#handOver(assignment, slots, consecutive))
    this.#handover = handover.then(
      () => {},
      () => {},
    )
    this.assigned.track(async () => {
      const kept = await handover
      const tasks: Task[] = []
      for (const slot of this.assigned.slots.values()) {
        if (this.assigned.assignment !== assignment) return
        slot.task ??= await this.stores.openTask(slot)
        if (slot.task === null) this.assigned.track(() => this.#openLater(assignment, slot))
        else tasks.push(slot.task)
      }
      await this.#restores.restore(assignment, tasks, true, kept)
    })
    this.stores.sweep()
  }

  /** Keeps tasks that run on here, and closes the others; what those and broken-off restores still write lands first. */
  async #handOver(assignment: Assignment, former: ReadonlyMap<string, Slot>, consecutive: boolean): Promise<ReadonlySet<Task>> {
    await this.#restores.landed()
    const kept = new Set<Task>()
    const closing: Promise<void>[] = []
    for (const [key, { task }] of former) {
      if (task === null) continue
      const slot = this.assigned.slots.get(key)
      const keeps = consecutive && this.assigned.assignment === assignment
      if (keeps && slot !== undefined && task.state === 'RUNNING' && !task.committing) {
        task.transition('RESTORING')
        slot.task = task
        kept.add(task)
      } else closing.push(task.close())
    }
    await Promise.all(closing)
    return kept
  }

  async #openLater(assignment: Assignment, slot: Slot): Promise<void> {
    while (slot.task === null) {
      await this.assigned.pause(slot.backoff.next())
      if (!this.assigned.isCurrent(assignment)) return
      slot.task = await this.stores.openTask(slot)
    }
    await this.#restores.restore(assignment, [slot.task], false)
  }

  /** Running tasks take no more records. */
  drain(): void {
    for (const task of this.assigned.running()) task.transition('DRAINING')
  }
}
