/** Reads partitions, and waits for new records. */
import type { LogRecord } from '../log.ts'
import type { ReadWindow } from '../records.ts'
import { MAX_TIMER_MS } from '../wait.ts'
import type { Partition } from './partition.ts'
import type { Storage } from './storage.ts'
import type { Tail } from './tail.ts'

/** Reads committed records: from the tail in memory if it reaches back far enough, otherwise from the file. */
export class Reader {
  readonly #storage: Storage
  readonly #tail: Tail

  constructor(storage: Storage, tail: Tail) {
    this.#storage = storage
    this.#tail = tail
  }

  /**
   * Appends the records in the window to `into`, batch by batch until `until` (monotonic ms), and narrows the window to the rest of it;
   * offsets that compaction has removed are skipped. Returns whether more can be taken at once. @throws {LogError} `corrupt`
   */
  take(partition: Partition, window: ReadWindow, into: LogRecord[], until: number): boolean {
    // Callers that must not miss what retention has removed check for it before they read.
    window.from = Math.max(window.from, partition.low)
    const more = () => window.from < partition.high && window.records > 0 && window.bytes > 0
    while (more()) {
      const batch = this.#tail.find(partition, window.from) ?? this.#storage.batch(partition, window.from)
      const reached = batch?.baseOffset ?? partition.high
      if (partition.contiguous && reached > window.from) throw this.#storage.missing(partition, window.from, reached)
      if (batch === null) window.from = partition.high
      else this.#storage.decode(partition, batch, window, into)
      if (performance.now() >= until) break
    }
    return more()
  }
}

/** Resolves when records are committed to the partition, when the log closes, or after this many ms. */
export function arrival({ listeners }: Partition, ms: number): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer)
      listeners.delete(done)
      resolve()
    }
    const timer = setTimeout(done, Math.min(ms, MAX_TIMER_MS))
    listeners.add(done)
  })
}
