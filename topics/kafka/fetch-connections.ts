/**
 * Which partitions a fetch asks a broker for, and over which connection. What waits inside a broker holds up everything behind it on its
 * connection, so there are three:
 *
 *   two long polls    by turns: one that is added to takes the place of the other
 *   one short poll    readers that are behind others, and what comes while both long polls are waiting
 */
import type { Position } from '../log.ts'
import type { Cursor } from './cursor.ts'
import { FetchSession } from './session.ts'

/** A partition in a request, and the readers that it is for. */
export interface Requested extends Position {
  readonly cursors: Cursor[]
}

export interface FetchConnection {
  /** Of the connections to the broker. */
  readonly number: number
  readonly session: FetchSession | null
  readonly waitMs: number
  /** What the request in flight asks for, by partition. */
  requested: ReadonlyMap<string, Requested>
  /** Fetches follow one another. */
  busy: boolean
  /** It pauses between two of them. */
  pacing: boolean
}

export interface BrokerConnections {
  readonly longPolls: readonly [FetchConnection, FetchConnection]
  readonly shortPoll: FetchConnection
}

export const NOTHING: ReadonlyMap<string, Requested> = new Map()
export const SHORT_POLL_MS = 10
/** Number of the connection for partitions that may break one. */
export const PROBE_CONNECTION = 3

export function connectionsTo(longPollMs: number): BrokerConnections {
  const idle = { requested: NOTHING, busy: false, pacing: false }
  const longPoll = (number: number): FetchConnection => ({ number, session: new FetchSession(), waitMs: longPollMs, ...idle })
  const shortPoll: FetchConnection = { number: 2, session: null, waitMs: Math.min(SHORT_POLL_MS, longPollMs), ...idle }
  return { longPolls: [longPoll(0), longPoll(1)], shortPoll }
}

/** Whether one of these is asked for on no connection. */
export function someUnrequested({ longPolls, shortPoll }: BrokerConnections, cursors: readonly Cursor[]): boolean {
  const connections = [...longPolls, shortPoll]
  return cursors.some(cursor => !cursor.onHold && !connections.some(connection => isRequested(connection, cursor)))
}

/** What the next request on this connection asks for. @param sequence numbers the requests of each cursor */
export function chooseRequest(
  { longPolls, shortPoll }: BrokerConnections,
  connection: FetchConnection,
  cursors: readonly Cursor[],
  sequence: () => number,
): Map<string, Requested> {
  const others = [...longPolls, shortPoll].filter(other => other !== connection)
  const chosen = new Map<string, Requested>()
  let fresh = false
  for (const cursor of cursors) {
    const { topic, partition, key, next: offset } = cursor
    if (cursor.onHold) continue
    const elsewhere = others.some(other => isRequested(other, cursor))
    // What another connection is bringing is not fetched twice; what it waits for without result is added to the long poll.
    if (elsewhere && (connection === shortPoll || !cursor.idle)) continue
    const existing = chosen.get(key)
    if (existing?.offset === offset) existing.cursors.push(cursor)
    else if (existing === undefined || comesBefore(connection !== shortPoll, cursor, existing)) {
      chosen.set(key, { topic, partition, offset, cursors: [cursor] })
    } else continue
    fresh ||= !longPolls.some(longPoll => longPoll !== connection && isRequested(longPoll, cursor))
  }
  // The other long poll has all of it.
  if (!fresh) chosen.clear()
  for (const requested of chosen.values()) for (const cursor of requested.cursors) cursor.requestedAt = sequence()
  return chosen
}

/** The request in flight on it brings what comes next for this cursor. */
function isRequested({ requested }: FetchConnection, { key, next }: Cursor): boolean {
  return requested.get(key)?.offset === next
}

/** Of several readers of a partition, long polls serve the one that is furthest, the short poll each in turn. */
function comesBefore(longPoll: boolean, cursor: Cursor, { offset, cursors }: Requested): boolean {
  return longPoll ? cursor.next > offset : cursor.requestedAt < (cursors[0] as Cursor).requestedAt
}
