/**
 * Appends outside transactions. Every partition has a lane with one record batch in flight; records that arrive meanwhile go into the
 * next one. Batches that are ready at the same time and have the same leader share a request, but not its outcome: each is taken, tried
 * again or refused by itself, and the others pass one that takes long.
 *
 *   add ─▶ lanes ─▶ AppendDispatcher: a batch of each lane ─▶ AppendRequests: by leader and connection ─▶ taken │ again │ refused
 */
import type { Append, Position } from '../log.ts'
import { AppendDispatcher } from './append-dispatcher.ts'
import { type AppendsSettings, closed } from './append-requests.ts'
import type { Chunk, Lane } from './lane.ts'
import { BATCH_BYTES, place, RECORD_OVERHEAD_BYTES } from './outbox.ts'

const TIMEOUT_MS = 10_000

export class Appends {
  readonly #settings: Required<AppendsSettings>
  readonly #lanes = new Map<string, Lane[]>()
  readonly #dispatcher: AppendDispatcher

  constructor(settings: AppendsSettings) {
    this.#settings = { timeout: TIMEOUT_MS, ...settings }
    this.#dispatcher = new AppendDispatcher(this.#settings)
  }

  /**
   * @returns the position of each record
   * @throws {LogError} of the first of its partitions that failed, once all of them have ended; when a record is too large, none is sent
   */
  async add(records: readonly Append[]): Promise<Position[]> {
    if (this.#dispatcher.closed) throw closed()
    const placed = records.map(record => place(record, this.#settings.partitions))
    const since = performance.now()
    const open = new Map<Lane, Chunk>()
    const places = records.map((record, i) => {
      const { partition, bytes } = placed[i] as (typeof placed)[number]
      const lane = this.#lane(record.topic, partition)
      let chunk = open.get(lane)
      if (chunk === undefined || chunk.bytes + bytes + RECORD_OVERHEAD_BYTES > BATCH_BYTES) {
        const outcome = chunk?.outcome ?? { error: null }
        chunk = { records: [], bytes: 0, since, outcome, alone: false, done: Promise.withResolvers<number>() }
        // The caller hears of a failure by at least one of its chunks.
        chunk.done.promise.catch(() => {})
        open.set(lane, chunk)
        lane.queue.push(chunk)
        if (lane.batch === null) this.#dispatcher.wake(lane)
      }
      chunk.records.push(record)
      chunk.bytes += bytes + RECORD_OVERHEAD_BYTES
      return { lane, chunk, index: chunk.records.length - 1 }
    })
    const baseOffsets = await baseOffsetsOf(new Set(places.map(p => p.chunk)))
    return places.map(({ lane: { topic, partition }, chunk, index }) => {
      return { topic, partition, offset: (baseOffsets.get(chunk) as number) + index }
    })
  }

  /** Waits a while for what is in flight; everything else ends with `closed`. */
  close(): Promise<void> {
    return this.#dispatcher.close()
  }

  #lane(topic: string, partition: number): Lane {
    let lanes = this.#lanes.get(topic)
    if (lanes === undefined) {
      lanes = []
      this.#lanes.set(topic, lanes)
    }
    const existing = lanes[partition]
    if (existing !== undefined) return existing
    const lane: Lane = { topic, partition, queue: [], batch: null, producer: null, sequence: 0, slow: false, retryMs: 0 }
    lanes[partition] = lane
    return lane
  }
}

/** Resolves once all chunks have ended. @throws the first failure */
async function baseOffsetsOf(chunks: ReadonlySet<Chunk>): Promise<Map<Chunk, number>> {
  const baseOffsets = new Map<Chunk, number>()
  const all = [...chunks]
  let failed: unknown = null
  for (const [i, outcome] of (await Promise.allSettled(all.map(chunk => chunk.done.promise))).entries()) {
    if (outcome.status === 'fulfilled') baseOffsets.set(all[i] as Chunk, outcome.value)
    else failed ??= outcome.reason
  }
  if (failed !== null) throw failed
  return baseOffsets
}
