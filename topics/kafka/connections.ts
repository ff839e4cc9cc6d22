/**
 * Connections to one broker, so that a request that takes long holds up no others: a broker answers the requests of a connection
 * in order.
 */

/** A request without an answer yet. */
export interface InFlight {
  readonly since: number
  /** For a partition that is slow: nothing else is sent behind it. */
  readonly exclusive: boolean
}

export interface Connection {
  /** From 1 on: connection 0 is shared with everything else. */
  readonly number: number
  readonly inFlight: Set<InFlight>
}

/** The broker reads one request while it appends another; what comes later goes together with the next. */
const MAX_IN_FLIGHT = 2
const MAX_CONNECTIONS = 16
/** Connections that slow partitions leave to the others. */
const RESERVED_CONNECTIONS = 4
const FIRST_ESTIMATE_MS = 20
/** Weight of one answer in the estimate. */
const SMOOTHING = 1 / 10

export class ConnectionPool {
  readonly #connections: Connection[] = []
  /** A timer is set that looks again whether a connection is free. */
  recheckScheduled = false
  /** How long a request usually takes here, about. */
  #usualMs = FIRST_ESTIMATE_MS

  /** A connection for a request that goes alone, of a slow partition; null when all of them are taken. */
  exclusive(): Connection | null {
    const free = this.#connections.find(connection => connection.inFlight.size === 0)
    if (free !== undefined) return free
    return this.#connections.length < MAX_CONNECTIONS - RESERVED_CONNECTIONS ? this.#open() : null
  }

  /** A connection on which nothing is stuck; null when the broker has enough to do for now. */
  shared(now: number): Connection | null {
    const usable = this.#connections.filter(({ inFlight }) => {
      for (const { since, exclusive } of inFlight) if (exclusive || now - since >= this.stuckAfterMs) return false
      return true
    })
    const withRoom = ({ inFlight }: Connection) => inFlight.size < MAX_IN_FLIGHT
    if (usable.length > 0) return usable.find(withRoom) ?? null
    if (this.#connections.length < MAX_CONNECTIONS) return this.#open()
    return this.#connections.find(withRoom) ?? null
  }

  /** A connection whose request has taken this long is stuck: others use another one. */
  get stuckAfterMs(): number {
    return Math.min(1_000, Math.max(50, 2 * this.#usualMs))
  }

  /** After this time one of the partitions of a request counts as slow. */
  get slowAfterMs(): number {
    return Math.min(2_000, Math.max(250, 4 * this.#usualMs))
  }

  /** An answer took this long. A single one that was far slower counts for little. */
  observe(ms: number): void {
    this.#usualMs += (Math.min(ms, 2 * this.#usualMs) - this.#usualMs) * SMOOTHING
  }

  #open(): Connection {
    const connection: Connection = { number: this.#connections.length + 1, inFlight: new Set() }
    this.#connections.push(connection)
    return connection
  }
}
