/**
 * The newest batches of all partitions in memory, so that readers at the end of a partition (worker, sinks, projections) need no SQLite.
 * It holds the end of each partition without a gap; when it is full, the oldest batch goes first.
 */
import type { EncodedBatch } from '../records.ts'
import type { Partition } from './partition.ts'

const MAX_BYTES = 16 * 1024 * 1024
/** Keeps removal from the front of the arrays cheap when batches are small. */
const MAX_BATCHES = 4096

export class Tail {
  readonly #batches = new Map<Partition, EncodedBatch[]>()
  /** The partition of each batch, in order of arrival. */
  readonly #owners = new Map<EncodedBatch, Partition>()
  #bytes = 0

  add(partition: Partition, batch: EncodedBatch): void {
    const batches = this.#batches.get(partition)
    if (batches === undefined) this.#batches.set(partition, [batch])
    else batches.push(batch)
    this.#owners.set(batch, partition)
    this.#bytes += batch.blob.length
    for (const owner of this.#owners.values()) {
      if (this.#bytes <= MAX_BYTES && this.#owners.size <= MAX_BATCHES) return
      this.#removeOldest(owner)
    }
  }

  /** Drops batches below an offset: retention or compaction has changed them in the file. */
  drop(partition: Partition, below: number): void {
    const batches = this.#batches.get(partition) ?? []
    while (batches[0] !== undefined && batches[0].lastOffset < below) this.#removeOldest(partition)
  }

  #removeOldest(partition: Partition): void {
    const batch = this.#batches.get(partition)?.shift() as EncodedBatch
    this.#owners.delete(batch)
    this.#bytes -= batch.blob.length
  }

  /** The batch that contains an offset, if the tail reaches back that far. */
  find(partition: Partition, offset: number): EncodedBatch | null {
    const batches = this.#batches.get(partition)
    const oldest = batches?.[0]
    if (batches === undefined || oldest === undefined || offset < oldest.baseOffset) return null
    let low = 0
    let high = batches.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((batches[middle] as EncodedBatch).lastOffset < offset) low = middle + 1
      else high = middle
    }
    return batches[low] as EncodedBatch
  }
}
