/**
 * A fetch session (KIP-227): the broker remembers what was asked for, so that a request says only what has changed, and an answer
 * only where there is something new. Where it keeps none, or has forgotten it, all is said anew.
 */
import { partitionKey } from '../log.ts'
import { CODE, KafkaError } from './errors.ts'
import type { Answer, Asking, Wanted } from './protocol.ts'

const LAST_EPOCH = 2 ** 31 - 1
const LOST: ReadonlySet<number> = new Set([CODE.FETCH_SESSION_ID_NOT_FOUND, CODE.INVALID_FETCH_SESSION_EPOCH])

/** One request, without a session. */
export function once(wanted: ReadonlyMap<string, Wanted>): Asking {
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
  /** What the broker knows. */
  readonly #told = new Map<string, Wanted>()

  /** The next request. One at a time: `answered` or `reset` comes before the one after it. */
  next(wanted: ReadonlyMap<string, Wanted>): Asking {
    if (this.#epoch === 0) this.#told.clear()
    const changed: Wanted[] = []
    for (const [key, one] of wanted) {
      if (this.#told.get(key)?.offset === one.offset) continue
      this.#told.set(key, one)
      changed.push(one)
    }
    const forgotten: Wanted[] = []
    for (const [key, one] of this.#told) {
      if (wanted.has(key)) continue
      this.#told.delete(key)
      forgotten.push(one)
    }
    return { ...once(wanted), session: this.#id, epoch: this.#epoch, wanted: changed, forgotten }
  }

  /** False where the broker has forgotten the session: what was asked for is asked anew. @throws {KafkaError} anything else */
  answered({ errorCode, session }: Answer): boolean {
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
