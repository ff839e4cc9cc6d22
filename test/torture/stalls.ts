/**
 * How long partitions stall that no fault affects: their committed offsets do not move although there are more records.
 *
 *   fault of partition 2   ├── affected ───┤·· until it has progressed ···┤
 *   the others             ├── measured ───────────────────────────────────
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KafkaLog } from '../../topics/kafka/log.ts'
import { trialInbox } from '../simulation/trial.ts'
import { GROUP, PARTITIONS } from './actor.ts'

/** A fault in progress. */
export interface ActiveFault {
  readonly name: string
  readonly partitions: ReadonlySet<number>
}

interface Progress {
  committed: number
  /** Since when it stalls without being affected, monotonic ms. */
  since: number
  /** A fault affected it, and it has not progressed since. */
  recovering: boolean
}

const SAMPLE_MS = 100
export const ALL: ReadonlySet<number> = new Set(Array.from({ length: PARTITIONS }, (_, p) => p))

export class StallMeter {
  readonly #log: KafkaLog
  readonly #faults = new Set<ActiveFault>()
  readonly #longest = new Map<string, number>()
  readonly #progress = Array.from(
    { length: PARTITIONS },
    (): Progress => ({ committed: -1, since: performance.now(), recovering: true }),
  )
  #ended = false
  readonly #sampling: Promise<void>

  constructor(log: KafkaLog) {
    this.#log = log
    this.#sampling = this.#sample()
  }

  /** A fault affects these partitions. @returns ends it */
  begin(name: string, partitions: ReadonlySet<number>): () => void {
    const fault = { name, partitions }
    this.#faults.add(fault)
    return () => this.#faults.delete(fault)
  }

  /** Waits until all partitions have progressed since a fault last affected them, for this long at most. */
  async progressing(ms: number): Promise<void> {
    for (const until = performance.now() + ms; this.#progress.some(p => p.recovering) && performance.now() < until; ) {
      await sleep(SAMPLE_MS)
    }
  }

  /** The longest stall of an unaffected partition, ms, by the fault that was active. */
  async end(): Promise<ReadonlyMap<string, number>> {
    this.#ended = true
    await this.#sampling
    return this.#longest
  }

  async #sample(): Promise<void> {
    while (!this.#ended) {
      await sleep(SAMPLE_MS)
      const faults = [...this.#faults]
      let committed: Map<number, number>
      let ends: Map<number, number>
      try {
        const [offsets, inbox] = await Promise.all([this.#log.groupOffsets(GROUP), this.#log.ends(trialInbox.name)])
        committed = new Map(offsets.filter(o => o.topic === trialInbox.name).map(o => [o.partition, o.offset]))
        ends = new Map(inbox.map(e => [e.partition, e.high]))
      } catch {
        // Unknown while the broker cannot be reached: all count as affected.
        for (const place of this.#progress) Object.assign(place, { since: performance.now(), recovering: true })
        continue
      }
      for (const [partition, place] of this.#progress.entries()) this.#judge(partition, place, committed, ends, faults)
    }
  }

  #judge(
    partition: number,
    place: Progress,
    committed: ReadonlyMap<number, number>,
    ends: ReadonlyMap<number, number>,
    faults: readonly ActiveFault[],
  ): void {
    const now = performance.now()
    const at = committed.get(partition) ?? 0
    const moves = at !== place.committed || at >= (ends.get(partition) ?? 0)
    const affected = faults.some(fault => fault.partitions.has(partition))
    place.committed = at
    if (affected) place.recovering = true
    else if (moves) place.recovering = false
    if (affected || moves || place.recovering) {
      place.since = now
      return
    }
    for (const { name } of faults) this.#longest.set(name, Math.max(this.#longest.get(name) ?? 0, Math.round(now - place.since)))
  }
}
