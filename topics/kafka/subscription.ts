/** What one reader follows: a cursor for each of its partitions, and a bound to the bytes that are queued for all of them. */
import { partitionKey, type Position, type TopicPartition } from '../log.ts'
import { Cursor, type Subscriber } from './cursor.ts'

export interface SubscriptionSettings extends Omit<Subscriber, 'holds'> {
  /** Bytes that may be queued, about: beyond them one answer of a broker may lie. */
  readonly bytes?: number
}

const QUEUE_BYTES = 16 * 1024 * 1024

export class Subscription implements Subscriber {
  readonly below: Subscriber['below']
  readonly beyond: Subscriber['beyond']
  readonly onNews: Subscriber['onNews']
  readonly #bytes: number
  readonly #cursors = new Map<string, Cursor>()
  readonly #wake: () => void
  readonly #closing: (closed: Subscription) => void

  /** @param wake looks for what can be fetched */
  constructor(
    { below, beyond, bytes = QUEUE_BYTES, onNews }: SubscriptionSettings,
    wake: () => void,
    closing: (closed: Subscription) => void,
  ) {
    this.below = below
    this.beyond = beyond
    this.onNews = onNews
    this.#bytes = bytes
    this.#wake = wake
    this.#closing = closing
  }

  get(partition: TopicPartition): Cursor | undefined {
    return this.#cursors.get(partitionKey(partition))
  }

  at(key: string): Cursor | undefined {
    return this.#cursors.get(key)
  }

  cursors(): IterableIterator<Cursor> {
    return this.#cursors.values()
  }

  holds(cursor: Cursor): boolean {
    return this.#cursors.get(cursor.key) === cursor
  }

  /** From now on this partition is fetched, from this offset on; what was fetched of it before is dropped. */
  add(position: Position): Cursor {
    const cursor = new Cursor(position, this)
    this.#cursors.set(cursor.key, cursor)
    this.#wake()
    return cursor
  }

  /** What it had queued is room for the others. */
  remove(partition: TopicPartition): void {
    if (this.#cursors.delete(partitionKey(partition))) this.#wake()
  }

  clear(): void {
    this.#cursors.clear()
    this.#wake()
  }

  /** Puts a cursor behind the others, so that they come first. */
  rotate(cursor: Cursor): void {
    if (!this.holds(cursor)) return
    this.#cursors.delete(cursor.key)
    this.#cursors.set(cursor.key, cursor)
  }

  /** Something was taken: there may be room again. */
  wake(): void {
    this.#wake()
  }

  close(): void {
    this.#cursors.clear()
    this.#closing(this)
  }

  /**
   * Those that have room and are not to be left alone for now. A partition may queue as much as is still free of the bytes of all:
   * alone it gets half, and where some are not taken, there is always room for the others (Choudhury and Hahne, Dynamic queue length
   * thresholds for shared-memory packet switches, 1998). One that has nothing is fetched however much the others have: an answer may
   * have brought more than there was room for.
   */
  fetchable(now: number): Cursor[] {
    const free = this.#free()
    const fetchable: Cursor[] = []
    for (const cursor of this.#cursors.values()) {
      if (hasRoom(cursor, free) && !cursor.onHold && cursor.pausedUntil <= now) fetchable.push(cursor)
    }
    return fetchable
  }

  /** What another reader has asked for may go to this one as well. */
  hasRoomFor(cursor: Cursor): boolean {
    return !cursor.onHold && hasRoom(cursor, this.#free())
  }

  #free(): number {
    let free = this.#bytes
    for (const { queued } of this.#cursors.values()) free -= queued
    return free
  }
}

function hasRoom({ queued }: Cursor, free: number): boolean {
  return queued === 0 || queued < free
}
