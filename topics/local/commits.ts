/**
 * Group commit: appends and transactions of the same turn of the event loop share one SQLite transaction, and so one sync of the disk.
 * Offsets and log append times are assigned here, and readers see nothing before the commit has returned.
 */
import { type Assignment, type Headers, LogError, type Position } from '../log.ts'
import { type EncodedBatch, type BatchRecord, encodeRecords } from '../records.ts'
import type { Partition } from './partition.ts'
import type { Storage } from './storage.ts'
import type { Tail } from './tail.ts'

/** A record and its partition. */
export interface PlacedRecord {
  readonly partition: Partition
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers: Headers
  readonly bytes: number
}

/** What is committed together: an append, or a transaction with its input offsets. */
export interface CommitUnit {
  readonly records: readonly PlacedRecord[]
  readonly fence?: { readonly assignment: Assignment; readonly offsets: readonly Position[] }
}

/** Larger batches are split into several rows, so that reading a part of one, and rewriting it, stays cheap. */
export const BATCH_BYTES = 256 * 1024
/** Size of one SQLite transaction, about; the rest waits for the next one, with I/O in between. */
const COMMIT_BYTES = 2 * 1024 * 1024

interface Waiting extends CommitUnit {
  readonly bytes: number
  /** @param offsets of the records, in their order */
  resolve(offsets: number[]): void
  reject(error: LogError): void
}

export interface CommitsOptions {
  readonly storage: Storage
  readonly tail: Tail
  readonly now: () => number
  /** Whether an assignment is still the current one of its group. */
  readonly isCurrent: (assignment: Assignment) => boolean
}

export class Commits {
  readonly #options: CommitsOptions
  readonly #queue: Waiting[] = []
  #scheduled = false

  constructor(options: CommitsOptions) {
    this.#options = options
  }

  /** Resolves with the offsets of the records, once durable. @throws {LogError} */
  add(unit: CommitUnit): Promise<number[]> {
    return new Promise((resolve, reject) => {
      let bytes = 0
      for (const record of unit.records) bytes += record.bytes
      this.#queue.push({ ...unit, bytes, resolve, reject })
      this.#schedule()
    })
  }

  /** Resolves once everything added so far is committed or refused. */
  async settled(): Promise<void> {
    await this.add({ records: [] }).catch(() => {})
  }

  /** Refuses what is waiting. */
  refuse(error: LogError): void {
    for (const unit of this.#queue.splice(0)) unit.reject(error)
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      const { database } = this.#options.storage
      // A checkpoint and a commit get a turn each.
      if (database.checkpointDue) database.checkpoint()
      else this.#commit(this.#next())
      if (this.#queue.length > 0 || database.checkpointDue) this.#schedule()
    })
  }

  /** Waiting units up to the size of a commit; those of an assignment that is no longer current are refused. */
  #next(): Waiting[] {
    let bytes = 0
    let count = 0
    while (count < this.#queue.length && (count === 0 || bytes < COMMIT_BYTES)) bytes += (this.#queue[count++] as Waiting).bytes
    return this.#queue.splice(0, count).filter(unit => {
      const assignment = unit.fence?.assignment
      if (assignment === undefined || this.#options.isCurrent(assignment)) return true
      const { group, member, generation } = assignment
      unit.reject(
        new LogError(
          'fenced',
          `generation ${generation} of group "${group}" has ended for member ${member}; join the group again`,
        ),
      )
      return false
    })
  }

  #commit(units: readonly Waiting[]): void {
    const { storage, tail, now } = this.#options
    const additions = new Map<Partition, BatchRecord[]>()
    const batches: [Partition, EncodedBatch][] = []
    const offsets: number[][] = []
    try {
      const time = Math.floor(now())
      for (const { records } of units) offsets.push(assignOffsets(records, additions, time))
      for (const [partition, records] of additions) {
        for (const batch of inBatches(records)) batches.push([partition, batch])
      }
      const fences = units.flatMap(({ fence }) => fence ?? [])
      if (batches.length > 0 || fences.length > 0) {
        storage.database.transaction(
          () => {
            for (const [partition, batch] of batches) storage.insertBatch(partition, batch)
            for (const { assignment, offsets } of fences) storage.saveOffsets(assignment.group, offsets)
          },
          batches.reduce((sum, [, { blob }]) => sum + blob.length, 0),
        )
      }
    } catch (error) {
      for (const unit of units) unit.reject(error as LogError)
      return
    }
    for (const [partition, batch] of batches) {
      partition.high = batch.lastOffset + 1
      partition.timestamp = batch.maxTimestamp
      partition.bytes += batch.blob.length
      partition.dirtyBytes += batch.blob.length
      tail.add(partition, batch)
    }
    for (const [i, unit] of units.entries()) unit.resolve(offsets[i] as number[])
    for (const partition of additions.keys()) for (const listener of partition.listeners) listener()
  }
}

/** Assigns offsets and log append times, which never go back within a partition. Returns the offsets. */
function assignOffsets(records: readonly PlacedRecord[], additions: Map<Partition, BatchRecord[]>, now: number): number[] {
  const offsets: number[] = []
  for (const { partition, key, value, headers } of records) {
    let added = additions.get(partition)
    if (added === undefined) {
      added = []
      additions.set(partition, added)
    }
    const offset = partition.high + added.length
    added.push({ offset, timestamp: Math.max(now, partition.timestamp), key, value, headers })
    offsets.push(offset)
  }
  return offsets
}

/** Groups records into batches of about the size of a row. */
export function* inBatches(records: readonly BatchRecord[]): Generator<EncodedBatch> {
  let start = 0
  let bytes = 0
  for (let end = 0; end < records.length; end++) {
    const { key, value } = records[end] as BatchRecord
    bytes += (key?.length ?? 0) + (value?.length ?? 0)
    if (bytes < BATCH_BYTES && end + 1 < records.length) continue
    yield encodeRecords(start === 0 && end + 1 === records.length ? records : records.slice(start, end + 1))
    start = end + 1
    bytes = 0
  }
}
