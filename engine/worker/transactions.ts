/** Writes what tasks have folded: one transaction for all of them. */
import { type Assignment, LogError, type Membership } from '../../topics/log.ts'
import type { Clock } from '../clock.ts'
import { messageOf } from '../errors.ts'
import type { Task } from '../task.ts'
import type { Tasks } from '../tasks.ts'

export interface Sealed extends ReturnType<Task['seal']> {
  readonly task: Task
}

export class Transactions {
  readonly #settings: { readonly clock: Clock; readonly newId: () => string }
  readonly #tasks: Tasks

  constructor(settings: { readonly clock: Clock; readonly newId: () => string }, tasks: Tasks) {
    this.#settings = settings
    this.#tasks = tasks
  }

  /** Seals one task after the other, yielding in between. One that cannot be sealed is restored; the others go on. Never rejects. */
  async seal(assignment: Assignment, dirty: readonly Task[]): Promise<Sealed[]> {
    const sealed: Sealed[] = []
    const { clock, newId } = this.#settings
    for (const task of dirty) {
      await clock.turn?.()
      if (this.#tasks.assigned.assignment !== assignment) break
      // It has failed meanwhile: what it has folded may be incomplete.
      if (task.state !== 'RUNNING') continue
      try {
        sealed.push({ task, ...task.seal(newId()) })
      } catch (error) {
        this.#tasks.recovery.fail(task, error)
      }
    }
    return sealed
  }

  /** Returns the last offset of each partition that was appended to. @throws if it did not commit, or nobody knows whether it did */
  async commit(membership: Membership, assignment: Assignment, sealed: readonly Sealed[]): Promise<Map<string, number>> {
    const transaction = membership.begin(assignment)
    let at = sealed[0]?.task as Task
    try {
      for (const { task, appends } of sealed) {
        at = task
        for (const append of appends) transaction.append(append)
      }
      transaction.offsets(sealed.map(({ task, next }) => ({ ...task.inbox, offset: next })))
    } catch (error) {
      await transaction.abort()
      const refused = error instanceof LogError && (error.code === 'too_large' || error.code === 'no_topic')
      // It would be refused again: this task is halted, and the others go on without it.
      if (refused) this.#tasks.halts.halt(at, `what it writes cannot be appended: ${messageOf(error)}`)
      throw error
    }
    return transaction.commit()
  }
}
