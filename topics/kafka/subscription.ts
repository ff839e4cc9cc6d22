/** What one reader follows: a cursor for each of its partitions, and a limit for the bytes that are queued for all of them. */
import { partitionKey, type Position, type TopicPartition } from '../log.ts'
import { Cursor, type Subscriber } from './cursor.ts'

export interface SubscriptionSettings extends Omit<Subscriber, 'holds'> {
  /** Bytes that may be queued, about: one answer of a broker may exceed it. */
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

  /** Starts fetching this partition at this offset; what was fetched before is dropped. */
  add(position: Position): Cursor {
    const cursor = new Cursor(position, this)
    this.#cursors.set(cursor.key, cursor)
    this.#wake()
    return cursor
  }

  /** Stops fetching this partition; its queued bytes are free for the others. */
  remove(partition: TopicPartition): void {
    if (this.#cursors.delete(partitionKey(partition))) this.#wake()
  }

  clear(): void {
    this.#cursors.clear()
    this.#wake()
  }

  /** Moves a cursor behind the others. */
  rotate(cursor: Cursor): void {
    if (!this.holds(cursor)) return
    this.#cursors.delete(cursor.key)
    this.#cursors.set(cursor.key, cursor)
  }

  /** Records were taken: there may be room again. */
  wake(): void {
    this.#wake()
  }

  close(): void {
    this.#cursors.clear()
    this.#closing(this)
  }

  /**
   * Cursors that have room and are neither paused nor on hold. A partition may queue as much as is free of the shared limit: alone it
   * gets half, and when some are not taken, there is always room for the others (Choudhury and Hahne, Dynamic queue length thresholds
   * for shared-memory packet switches, 1998). A cursor with an empty queue is fetched in any case: an answer may have exceeded the limit.
   */
  fetchable(now: number): Cursor[] {
    const free = this.#free()
    const fetchable: Cursor[] = []
    for (const cursor of this.#cursors.values()) {
      if (hasRoom(cursor, free) && !cursor.onHold && cursor.pausedUntil <= now) fetchable.push(cursor)
    }
    return fetchable
  }

  /** Whether it can take what was fetched for another reader. */
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
