/**
 * Timers that were found due and already appended as `TimerDue`: the store shows them until the transaction that handles them is written
 * there, and they must not be appended again.
 */
import type { DueTimer, StateStore } from '../store.ts'
import type { Changed } from '../store-writer.ts'

export class FiredTimers {
  /** When to look at each again, wall clock. */
  readonly #fired = new Map<string, number>()

  /** Timers that are due and not fired yet; they count as fired from now on. */
  fire(store: Pick<StateStore, 'due'>, now: number, limit: number): DueTimer[] {
    const due = store.due(now, limit).filter(timer => {
      const again = this.#fired.get(timerId(timer))
      return again === undefined || again <= now
    })
    for (const timer of due) this.#fired.set(timerId(timer), Number.POSITIVE_INFINITY)
    return due
  }

  /** A timer came ahead of its log time: look at it again then. */
  defer(timer: string, at: number): void {
    this.#fired.set(timer, at)
  }

  /** The store shows these changes now: timers that are gone, or set anew, need not be remembered as fired. */
  written(touched: ReadonlyMap<string, Changed>): void {
    for (const [key, { before, after }] of touched) {
      for (const { name, version } of before?.timers ?? []) {
        if (!after.timers.some(t => t.name === name && t.version === version)) this.#fired.delete(timerId({ key, name, version }))
      }
    }
  }

  clear(): void {
    this.#fired.clear()
  }
}

export function timerId({ key, name, version }: Pick<DueTimer, 'key' | 'name' | 'version'>): string {
  return `${key}\0${name}\0${version}`
}
