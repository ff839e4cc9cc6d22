/**
 * One partition as it lies in the cluster. Readers see it up to the first record of a transaction whose marker has yet to come,
 * though its end is further on; what a transaction that was given up has written takes offsets, and nobody ever sees it.
 *
 *   low ─ … records … ─ stable ─ … of open transactions … ─ end
 */
import type { Append, LogRecord, TopicPartition } from '../../../topics/log.ts'

export class Partition {
  readonly at: TopicPartition
  records: LogRecord[] = []
  /** Also what compaction and retention have taken out since: an older copy of the partition has it. */
  written: LogRecord[] = []
  low = 0
  /** Next offset to be written. */
  end = 0
  /** Nobody leads it: it can be neither read nor written. */
  leaderless = false
  /** A batch of it cannot be read. */
  damaged = false
  /** Counts how often it was made anew or put back to an older copy. */
  made = 0
  readonly #open = new Set<number>()

  constructor(at: TopicPartition) {
    this.at = at
  }

  /** What readers see ends here. */
  get stable(): number {
    return Math.min(this.end, ...this.#open)
  }

  write({ key, value, headers = {} }: Append, timestamp: number): number {
    const offset = this.end
    const at = Math.max(this.records.at(-1)?.timestamp ?? 0, timestamp)
    const record = { ...this.at, offset, timestamp: at, key, value, headers }
    this.records.push(record)
    this.written.push(record)
    this.end += 1
    return offset
  }

  /** From this offset on, records wait for a marker. Returns what the marker does; it takes an offset itself. */
  hold(from: number): () => void {
    const { made } = this
    this.#open.add(from)
    return () => {
      if (made !== this.made) return
      this.#open.delete(from)
      this.end += 1
    }
  }

  /** A transaction that was given up after it had written this many records. */
  waste(records: number): void {
    this.end += records + 1
  }

  visible(from: number): LogRecord[] {
    const { stable } = this
    const first = firstFrom(this.records, from)
    const behind = firstFrom(this.records, stable)
    return this.records.slice(first, behind)
  }

  /** Only the newest record of each key stays, up to `before`; a deletion stays until its time is over. */
  compact(before: number, deletedBefore: number): void {
    const newest = new Map<string, number>()
    for (const { key, offset } of this.records) if (key !== null && offset < this.stable) newest.set(key, offset)
    this.records = this.records.filter(({ key, offset, value, timestamp }) => {
      if (offset >= Math.min(before, this.stable)) return true
      return key !== null && newest.get(key) === offset && (value !== null || timestamp >= deletedBefore)
    })
  }

  /** Retention has removed everything before this offset. */
  remove(before: number): void {
    this.low = Math.max(this.low, Math.min(before, this.stable))
    this.records = this.records.filter(r => r.offset >= this.low)
  }

  /** As an older copy of it was: its end is here. Nothing that is on its way counts any more. */
  cut(end: number): void {
    this.made += 1
    this.#open.clear()
    this.written = this.written.filter(r => r.offset < end)
    this.records = this.written.filter(r => r.offset >= this.low)
    this.end = end
    this.low = Math.min(this.low, end)
  }
}

/** Index of the first record at or behind an offset. */
function firstFrom(records: readonly LogRecord[], offset: number): number {
  let low = 0
  let high = records.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((records[middle] as LogRecord).offset < offset) low = middle + 1
    else high = middle
  }
  return low
}
