/**
 * Attempts that an earlier owner of a task left open. They are resolved once the effect's time-out has passed. The resolution is a record
 * of the inbox, so that whatever the inbox already held comes before it: a result that was there makes it void.
 */
import type { Clock } from '../clock.ts'
import type { Startable, Task } from '../task.ts'

/** Time-out of an effect that this code no longer has. */
const RETIRED_TIMEOUT_MS = 60_000

interface Orphans {
  /** When the task was assigned, monotonic ms. */
  readonly since: number
  readonly open: readonly (Startable & { owner: string })[]
}

export interface OrphanedAttemptsSettings {
  readonly clock: Clock
  /** Whether an attempt runs in this worker. */
  readonly runs: (attempt: Startable) => boolean
  /** Whether no earlier owner can be alive. */
  readonly exclusive: () => boolean
}

export class OrphanedAttempts {
  readonly #settings: OrphanedAttemptsSettings
  readonly #orphans = new WeakMap<Task, Orphans>()

  constructor(settings: OrphanedAttemptsSettings) {
    this.#settings = settings
  }

  /** A task was restored: what it holds open was started earlier. */
  found(task: Task, since: number): void {
    this.#orphans.set(task, { since, open: task.actors.openAttempts() })
  }

  /** Appends the resolution of those whose time is over. */
  resolve(task: Task): void {
    const orphans = this.#orphans.get(task)
    if (orphans === undefined) return
    const { clock, runs, exclusive } = this.#settings
    const waiting: (Startable & { owner: string })[] = []
    for (const attempt of orphans.open) {
      if (runs(attempt) || !task.isOpen(attempt)) continue
      const effect = task.definition.effects?.[attempt.effect]
      const { timeoutMs, retry } = effect ?? { timeoutMs: RETIRED_TIMEOUT_MS, retry: 'never' }
      const over = exclusive() || clock.mono() - orphans.since >= timeoutMs
      if (!over) {
        waiting.push(attempt)
        continue
      }
      const { key, effect: name, start } = attempt
      const outcome = task.neverSent(attempt) ? 'RELEASED' : retry === 'idempotent' ? 'RETRY' : 'UNKNOWN'
      const reason = 'the worker that started it is gone'
      task.append(key, 'EffectEnded', { attempt: attempt.attempt, effect: name, start, outcome, reason })
    }
    if (waiting.length === 0) this.#orphans.delete(task)
    else this.#orphans.set(task, { ...orphans, open: waiting })
  }
}
