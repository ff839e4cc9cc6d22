/**
 * A fetch session (KIP-227): the broker remembers what was requested, so that a request names only what has changed, and a response only
 * partitions with something new. When the broker keeps no session, or has forgotten it, requests are complete.
 */
import { partitionKey, type Position } from '../log.ts'
import { ErrorCode, KafkaError } from './errors.ts'
import type { FetchRequest, FetchResponse } from './protocol.ts'

const LAST_EPOCH = 2 ** 31 - 1
const LOST: ReadonlySet<number> = new Set([ErrorCode.FETCH_SESSION_ID_NOT_FOUND, ErrorCode.INVALID_FETCH_SESSION_EPOCH])

/** A request without a session. */
export function sessionless(wanted: ReadonlyMap<string, Position>): FetchRequest {
  return {
    session: 0,
    epoch: -1,
    wanted: [...wanted.values()],
    forgotten: [],
    offset: partition => wanted.get(partitionKey(partition))?.offset ?? 0,
  }
}

export class FetchSession {
  #id = 0
  /** Of the next request; 0 until the broker has started a session. */
  #epoch = 0
  /** What the broker remembers. */
  readonly #known = new Map<string, Position>()

  /** The next request. One at a time: `answered` or `reset` comes before the next one. */
  next(wanted: ReadonlyMap<string, Position>): FetchRequest {
    if (this.#epoch === 0) this.#known.clear()
    const changed: Position[] = []
    for (const [key, one] of wanted) {
      if (this.#known.get(key)?.offset === one.offset) continue
      this.#known.set(key, one)
      changed.push(one)
    }
    const forgotten: Position[] = []
    for (const [key, one] of this.#known) {
      if (wanted.has(key)) continue
      this.#known.delete(key)
      forgotten.push(one)
    }
    return { ...sessionless(wanted), session: this.#id, epoch: this.#epoch, wanted: changed, forgotten }
  }

  /** False when the broker has forgotten the session: the request must be repeated. @throws {KafkaError} on any other error */
  answered({ errorCode, session }: FetchResponse): boolean {
    if (errorCode !== 0) {
      const lost = LOST.has(errorCode) && this.#epoch > 0
      this.reset()
      if (!lost) throw new KafkaError(errorCode)
      return false
    }
    if (this.#epoch === 0) this.#id = session
    this.#epoch = this.#id === 0 ? 0 : this.#epoch === LAST_EPOCH ? 1 : this.#epoch + 1
    return true
  }

  /** Starts a new session: it is unknown what the broker has seen of the last request. */
  reset(): void {
    this.#id = 0
    this.#epoch = 0
  }
}
