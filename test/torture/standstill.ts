/**
 * How long partitions stand still that no fault concerns: what is committed of them does not move, though there is more.
 *
 *   fault of partition 2   ├── concerned ──┤·· until it has moved again ··┤
 *   the others             ├── measured ───────────────────────────────────
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KafkaLog } from '../../topics/kafka/log.ts'
import { trialInbox } from '../simulation/trial.ts'
import { GROUP, PARTITIONS } from './actor.ts'

export interface Concern {
  readonly name: string
  readonly partitions: ReadonlySet<number>
}

interface Place {
  committed: number
  /** Monotonic ms since when it stands still and nothing concerns it. */
  since: number
  /** Something concerned it, and it has not moved since. */
  recovers: boolean
}

const LOOK_MS = 100
export const ALL: ReadonlySet<number> = new Set(Array.from({ length: PARTITIONS }, (_, p) => p))

export class Standstill {
  readonly #log: KafkaLog
  readonly #concerns = new Set<Concern>()
  readonly #longest = new Map<string, number>()
  readonly #places = Array.from(
    { length: PARTITIONS },
    (): Place => ({ committed: -1, since: performance.now(), recovers: true }),
  )
  #ended = false
  readonly #looking: Promise<void>

  constructor(log: KafkaLog) {
    this.#log = log
    this.#looking = this.#look()
  }

  /** A fault concerns these partitions until what it returns is called. */
  begin(name: string, partitions: ReadonlySet<number>): () => void {
    const concern = { name, partitions }
    this.#concerns.add(concern)
    return () => this.#concerns.delete(concern)
  }

  /** Waits until all partitions have moved since a fault last concerned them, for so long at most, ms. */
  async moving(ms: number): Promise<void> {
    for (const until = performance.now() + ms; this.#places.some(p => p.recovers) && performance.now() < until; ) {
      await sleep(LOOK_MS)
    }
  }

  /** The longest time that a partition stood still which nothing concerned, ms, by the fault that struck others meanwhile. */
  async end(): Promise<ReadonlyMap<string, number>> {
    this.#ended = true
    await this.#looking
    return this.#longest
  }

  async #look(): Promise<void> {
    while (!this.#ended) {
      await sleep(LOOK_MS)
      const concerns = [...this.#concerns]
      let committed: Map<number, number>
      let ends: Map<number, number>
      try {
        const [offsets, inbox] = await Promise.all([this.#log.groupOffsets(GROUP), this.#log.ends(trialInbox.name)])
        committed = new Map(offsets.filter(o => o.topic === trialInbox.name).map(o => [o.partition, o.offset]))
        ends = new Map(inbox.map(e => [e.partition, e.high]))
      } catch {
        // Nobody can tell while the broker is away; that concerns all.
        for (const place of this.#places) Object.assign(place, { since: performance.now(), recovers: true })
        continue
      }
      for (const [partition, place] of this.#places.entries()) this.#judge(partition, place, committed, ends, concerns)
    }
  }

  #judge(
    partition: number,
    place: Place,
    committed: ReadonlyMap<number, number>,
    ends: ReadonlyMap<number, number>,
    concerns: readonly Concern[],
  ): void {
    const now = performance.now()
    const at = committed.get(partition) ?? 0
    const moves = at !== place.committed || at >= (ends.get(partition) ?? 0)
    const concerned = concerns.some(c => c.partitions.has(partition))
    place.committed = at
    if (concerned) place.recovers = true
    else if (moves) place.recovers = false
    if (concerned || moves || place.recovers) {
      place.since = now
      return
    }
    for (const { name } of concerns)
      this.#longest.set(name, Math.max(this.#longest.get(name) ?? 0, Math.round(now - place.since)))
  }
}
