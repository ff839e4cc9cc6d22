/**
 * Connections to one broker, so that a request that is long in coming holds up no others: a broker answers the requests of a
 * connection in order.
 */

/** A request under way. */
export interface Outgoing {
  readonly since: number
  /** Of a partition that is slow: nothing else is sent behind it. */
  readonly apart: boolean
}

export interface Way {
  /** Number of the connection, from 1 on: those of 0 are shared with everything else. */
  readonly number: number
  readonly outgoing: Set<Outgoing>
}

/** The broker takes in one request while it appends another; what comes meanwhile goes together with the next. */
const AT_ONCE = 2
const MOST = 16
/** Ways that slow partitions leave to the others. */
const KEPT = 4

export class Ways {
  readonly #ways: Way[] = []
  /** A timer looks once more whether one of them can be used. */
  waited = false
  /** What a request takes here, about, ms. */
  #usual = 20

  /** A way for slow partitions' requests, each of which goes alone; null where all are taken. */
  alone(): Way | null {
    const free = this.#ways.find(way => way.outgoing.size === 0)
    if (free !== undefined) return free
    return this.#ways.length < MOST - KEPT ? this.#another() : null
  }

  /** A way on which nothing is stuck. Null where the broker has enough to do for now. */
  shared(now: number): Way | null {
    const usable = this.#ways.filter(way => {
      for (const { since, apart } of way.outgoing) if (apart || now - since >= this.patience) return false
      return true
    })
    if (usable.length > 0) return usable.find(way => way.outgoing.size < AT_ONCE) ?? null
    if (this.#ways.length < MOST) return this.#another()
    return this.#ways.find(way => way.outgoing.size < AT_ONCE) ?? null
  }

  /** After this time, ms, others go another way. */
  get patience(): number {
    return Math.min(1_000, Math.max(50, 2 * this.#usual))
  }

  /** After this time, ms, one of the partitions of a request is held to be slow. */
  get late(): number {
    return Math.min(2_000, Math.max(250, 4 * this.#usual))
  }

  /** An answer has taken so long. Single ones that were far slower count little. */
  took(ms: number): void {
    this.#usual += (Math.min(ms, 2 * this.#usual) - this.#usual) / 10
  }

  #another(): Way {
    const way: Way = { number: this.#ways.length + 1, outgoing: new Set() }
    this.#ways.push(way)
    return way
  }
}
