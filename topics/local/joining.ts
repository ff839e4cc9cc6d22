/**
 * Small batches of a topic by time that lie together become one. Each is a row with its own numbers and a place in an index, about
 * 80 bytes beside its records: where little comes at a time, that is as much as the records. What is read stays the same, and a
 * batch spans no more time than is told, so that retention is not kept waiting by it.
 */
import type { LogError, LogRecord } from '../log.ts'
import { BATCH_BYTES } from './commits.ts'
import { replace, STEP_MS } from './compaction.ts'
import type { Partition } from './partition.ts'
import { isRowDamage, type Storage, type StoredBatch } from './storage.ts'

export interface JoiningSettings {
  /** Batches with newer records than this are left alone, ms since the epoch. */
  readonly until: number
  /** Most time between the first and the last record of what is joined, ms. */
  readonly spanMs: number
  /** Told of batches that cannot be read. */
  readonly damaged: (error: LogError) => void
}

/** From here on a batch is worth a row of its own. */
const LARGE = BATCH_BYTES / 4

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

/** Joins what lies together behind what has been joined. Returns whether there is more to be looked at. */
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
    // What is large, or damaged, stays as it is; nothing is joined over it.
    const batch = info.bytes < LARGE ? readable(storage, partition, next, settings) : null
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

/** Without a gap, which would be damage that nobody sees any more, and within the time. */
function follows(run: readonly StoredBatch[], batch: StoredBatch, { spanMs }: JoiningSettings): boolean {
  const [first, last] = [run[0] as StoredBatch, run.at(-1) as StoredBatch]
  return batch.baseOffset === last.lastOffset + 1 && batch.maxTimestamp - first.firstTimestamp <= spanMs
}

function recordsOf(storage: Storage, partition: Partition, run: readonly StoredBatch[]): LogRecord[] {
  return run.flatMap(batch => storage.records(partition, batch))
}

function readable(storage: Storage, partition: Partition, at: number, { damaged }: JoiningSettings): StoredBatch | null {
  try {
    return storage.batch(partition, at)
  } catch (error) {
    if (!isRowDamage(error)) throw error
    damaged(error)
    return null
  }
}
