/**
 * Joins small adjacent batches of a topic with retention. Each batch is a row with columns and an index entry, about 80 bytes beside its
 * records: where records arrive one by one, that is as much as the records. Reads return the same, and a batch spans no more than a given
 * time, so that it does not delay retention.
 */
import type { LogError, LogRecord } from '../log.ts'
import { BATCH_BYTES } from './commits.ts'
import { replace, STEP_MS } from './compaction.ts'
import type { Partition } from './partition.ts'
import { isRowDamage, type Storage, type StoredBatch } from './storage.ts'

export interface JoiningSettings {
  /** Batches with newer records than this are not joined, ms since the epoch. */
  readonly until: number
  /** Longest time between the first and the last record of a joined batch, ms. */
  readonly spanMs: number
  /** Called with batches that cannot be read. */
  readonly onDamage: (error: LogError) => void
}

/** A batch of this size deserves a row of its own. */
const LARGE_BYTES = BATCH_BYTES / 4

/** @param pause awaited between steps; throws to end the work */
export async function joinSmall(
  storage: Storage,
  partition: Partition,
  settings: JoiningSettings,
  pause: () => Promise<void>,
): Promise<void> {
  for (let more = true; more; ) {
    await pause()
    more = step(storage, partition, settings)
  }
}

/** Joins adjacent batches after those that have been joined. Returns whether there are more to look at. */
function step(storage: Storage, partition: Partition, settings: JoiningSettings): boolean {
  const stop = performance.now() + STEP_MS
  const run: StoredBatch[] = []
  let next = Math.max(partition.joined, partition.low)
  let bytes = 0
  let more = true
  while (run.length === 1 || performance.now() < stop) {
    const info = storage.batchInfo(partition, next)
    if (info === null || info.maxTimestamp > settings.until) {
      more = false
      break
    }
    // A large or damaged batch stays as it is; nothing is joined across it.
    const batch = info.bytes < LARGE_BYTES ? readable(storage, partition, next, settings) : null
    if (run.length > 0 && (batch === null || bytes + info.bytes > BATCH_BYTES || !follows(run, batch, settings))) break
    next = info.lastOffset + 1
    if (batch === null) continue
    run.push(batch)
    bytes += info.bytes
  }
  if (run.length > 1) replace(storage, partition, run, { kept: recordsOf(storage, partition, run), tombstonesUntil: null })
  partition.joined = next
  return more
}

/** Without a gap, which would hide damage, and within the time span. */
function follows(run: readonly StoredBatch[], batch: StoredBatch, { spanMs }: JoiningSettings): boolean {
  const [first, last] = [run[0] as StoredBatch, run.at(-1) as StoredBatch]
  return batch.baseOffset === last.lastOffset + 1 && batch.maxTimestamp - first.firstTimestamp <= spanMs
}

function recordsOf(storage: Storage, partition: Partition, run: readonly StoredBatch[]): LogRecord[] {
  return run.flatMap(batch => storage.records(partition, batch))
}

function readable(storage: Storage, partition: Partition, at: number, { onDamage }: JoiningSettings): StoredBatch | null {
  try {
    return storage.batch(partition, at)
  } catch (error) {
    if (!isRowDamage(error)) throw error
    onDamage(error)
    return null
  }
}
