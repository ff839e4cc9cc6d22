/**
 * A fetch session (KIP-227): the broker remembers what was asked for, so that a request says only what has changed, and an answer
 * only where there is something new. Where it keeps none, or has forgotten it, all is said anew.
 */
import { partitionKey, type Position } from '../log.ts'
import { ErrorCode, KafkaError } from './errors.ts'
import type { FetchRequest, FetchResponse } from './protocol.ts'

const LAST_EPOCH = 2 ** 31 - 1
const LOST: ReadonlySet<number> = new Set([ErrorCode.FETCH_SESSION_ID_NOT_FOUND, ErrorCode.INVALID_FETCH_SESSION_EPOCH])

/** One request, without a session. */
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
  /** Of the next request; 0 until the broker has begun a session. */
  #epoch = 0
  /** What the broker remembers. */
  readonly #known = new Map<string, Position>()

  /** The next request. One at a time: `answered` or `reset` comes before the one after it. */
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

  /** False where the broker has forgotten the session: what was asked for is asked anew. @throws {KafkaError} anything else */
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

  /** Nobody knows what the broker has taken of the last request. */
  reset(): void {
    this.#id = 0
    this.#epoch = 0
  }
}
