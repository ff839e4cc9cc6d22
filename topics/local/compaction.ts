/**
 * Compaction of a partition, as Kafka's log cleaner does it (KIP-534 for the tombstones): a survey of the records since the last pass
 * notes the newest offset of every key; then everything up to there is rewritten without the values that were replaced. A tombstone stays
 * for `deleteRetentionMs` after the pass that removed what it deletes, so that a reader who has seen the value also sees the tombstone.
 * Offsets never change.
 *
 *   low ─── seen by earlier passes ─── clean ─── surveyed ─── active: left alone ─── high
 *
 * A pass takes steps of a few milliseconds, each one SQLite transaction. A crash between two leaves a correct log that is less clean. A
 * damaged batch stays as it is, and its records are unknown: nothing is removed because of it.
 */
import type { LogError, LogRecord } from '../log.ts'
import type { EncodedBatch } from '../records.ts'
import { BATCH_BYTES, inBatches } from './commits.ts'
import type { Partition } from './partition.ts'
import { isRowDamage, type Storage, type StoredBatch } from './storage.ts'
import type { Tail } from './tail.ts'

export interface CompactionSettings {
  /** Records younger than this are not compacted, ms. */
  readonly activeMs: number
  /** How long tombstones stay after what they delete is gone, ms. */
  readonly deleteRetentionMs: number
}

export interface Compaction extends CompactionSettings {
  readonly now: number
  /** Called with batches that cannot be read. */
  readonly onDamage: (error: LogError) => void
}

/** After this long a step takes no more, so that it ends within about 5 ms. */
export const STEP_MS = 3
/** With more keys than this there are several passes. */
const MAX_SURVEY_KEYS = 100_000

interface Survey {
  /** Newest offset of every key from `clean` on. */
  readonly newest: Map<string, number>
  /** The offset after the last that was surveyed. */
  end: number
  /** Bytes that were surveyed. */
  bytes: number
  done: boolean
}

/** @param pause awaited between steps; throws to end the work */
export async function compact(
  storage: Storage,
  tail: Tail,
  partition: Partition,
  settings: Compaction,
  pause: () => Promise<void>,
): Promise<void> {
  let survey: Survey
  do {
    survey = { newest: new Map(), end: partition.clean, bytes: 0, done: false }
    while (!survey.done && survey.newest.size < MAX_SURVEY_KEYS) {
      await pause()
      surveyStep(storage, partition, survey, settings)
    }
    for (let at = partition.low; at < survey.end; ) {
      await pause()
      at = rewriteStep(storage, partition, at, survey, settings)
    }
    if (survey.end > partition.clean) {
      storage.database.transaction(() => storage.savePartition({ ...partition, clean: survey.end }))
      partition.clean = survey.end
      partition.dirtyBytes -= survey.bytes
    }
    tail.drop(partition, survey.end)
  } while (!survey.done)
}

function surveyStep(storage: Storage, partition: Partition, survey: Survey, settings: Compaction): void {
  const until = performance.now() + STEP_MS
  while (survey.newest.size < MAX_SURVEY_KEYS && performance.now() < until) {
    const batch = readable(storage, partition, survey.end, settings)
    if (typeof batch === 'number') {
      survey.end = batch
      continue
    }
    if (batch === null || batch.maxTimestamp > settings.now - settings.activeMs) {
      survey.done = true
      return
    }
    for (const { key, offset } of storage.records(partition, batch)) if (key !== null) survey.newest.set(key, offset)
    survey.end = batch.lastOffset + 1
    survey.bytes += batch.blob.length
  }
}

/** The batch at an offset, or the next one; the offset after it when it is damaged; null when there are no more. */
function readable(storage: Storage, partition: Partition, at: number, { onDamage }: Compaction): StoredBatch | number | null {
  try {
    return storage.batch(partition, at)
  } catch (error) {
    if (!isRowDamage(error)) throw error
    onDamage(error)
    const lastOffset = storage.batchInfo(partition, at)?.lastOffset ?? partition.high
    return lastOffset < partition.high ? lastOffset + 1 : null
  }
}

/** A batch, or several that are joined, after compaction. */
interface Rewritten {
  kept: LogRecord[]
  tombstonesUntil: number | null
  changed: boolean
}

/** Rewrites some batches from an offset on, joining small ones. Returns the offset of the next step. */
function rewriteStep(storage: Storage, partition: Partition, from: number, survey: Survey, settings: Compaction): number {
  const until = performance.now() + STEP_MS
  const old: StoredBatch[] = []
  const joined: Rewritten = { kept: [], tombstonesUntil: null, changed: false }
  let next = from
  let bytes = 0
  while (next < survey.end && bytes < BATCH_BYTES && performance.now() < until) {
    const batch = readable(storage, partition, next, settings)
    if (typeof batch === 'number') {
      // Only adjacent batches are joined: a new batch must not span a damaged one.
      if (old.length > 0) break
      next = batch
      continue
    }
    if (batch === null || batch.baseOffset >= survey.end) {
      next = survey.end
      break
    }
    const { kept, tombstonesUntil, changed } = rewritten(storage.records(partition, batch), batch, survey.newest, settings)
    const stays = !changed && batch.blob.length >= BATCH_BYTES / 4
    // Tombstones of different passes are kept apart, or the younger would keep the older alive.
    const apart = tombstonesUntil !== null && joined.tombstonesUntil !== null && tombstonesUntil !== joined.tombstonesUntil
    if ((stays || apart) && old.length > 0) break
    next = batch.lastOffset + 1
    if (stays) continue
    old.push(batch)
    for (const record of kept) joined.kept.push(record)
    joined.tombstonesUntil ??= tombstonesUntil
    joined.changed ||= changed
    bytes += (batch.blob.length * kept.length) / batch.count
  }
  if (joined.changed || old.length > 1) replace(storage, partition, old, joined)
  return next
}

function rewritten(
  records: readonly LogRecord[],
  batch: StoredBatch,
  newest: ReadonlyMap<string, number>,
  { now, deleteRetentionMs }: Compaction,
): Rewritten {
  const expired = batch.tombstonesUntil !== null && batch.tombstonesUntil <= now
  const kept = records.filter(({ key, value, offset }) => {
    if (key === null) return true
    return offset >= (newest.get(key) ?? 0) && !(expired && value === null)
  })
  const tombstones = kept.some(({ key, value }) => key !== null && value === null)
  const tombstonesUntil = tombstones ? (batch.tombstonesUntil ?? now + deleteRetentionMs) : null
  return { kept, tombstonesUntil, changed: kept.length < records.length || tombstonesUntil !== batch.tombstonesUntil }
}

/** Replaces batches by the records that are kept of them. */
export function replace(
  storage: Storage,
  partition: Partition,
  old: readonly StoredBatch[],
  { kept, tombstonesUntil }: Pick<Rewritten, 'kept' | 'tombstonesUntil'>,
): void {
  const batches = [...inBatches(kept)]
  const sum = (of: readonly EncodedBatch[]) => of.reduce((bytes, { blob }) => bytes + blob.length, 0)
  const [removed, added] = [sum(old), sum(batches)]
  storage.database.transaction(() => {
    for (const { id } of old) storage.removeBatch(id)
    for (const batch of batches) storage.insertBatch(partition, batch, tombstonesUntil)
    // The newest batch of the partition may have been among them.
    storage.savePartition(partition)
  }, removed + added)
  partition.bytes += added - removed
}
