/**
 * Whose rows have changed, told by the transaction that changes them, to whoever keeps what was made of rows:
 *
 *   write ─▶ NOTIFY ─▶ COMMIT ─▶ those who LISTEN
 *
 * Who has lost the connection has missed something, and is told so. Whether anything comes is seen by a beat that another connection
 * sends: a proxy that shares sessions takes LISTEN, and passes nothing on.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'

const CHANNEL = 'rows_changed'
/** Stands for all of them. */
const ALL = '*'
/** Below what a notification takes, 8,000 bytes. */
const PAYLOAD_BYTES = 7_000
/** More of them at once than anybody keeps. */
const MOST = 5_000

/** Stands for users and keys. */
const PEOPLE = '!'
/** Before what tells of no change. */
const BEAT = '@'
/** A beat is sent so long after the last was heard, and has to come within so long, ms. */
const BEAT_MS = 5_000
const HEARD_MS = 10_000
const RETRY_MS = 500

export interface ChangeListener {
  /** From now on nothing is missed. */
  begun(): void
  /** @param conversations null for all of them */
  changed(conversations: readonly string[] | null): void
  /** Users or keys have changed. */
  people(): void
  /** Until it has begun again, what changes is not told. */
  lost(): void
}

/** In the transaction that changes them, so that it is told once they are there. @param conversations null for all of them */
export async function tellChanged(client: Pick<pg.ClientBase, 'query'>, conversations: readonly string[] | null): Promise<void> {
  const payloads = conversations === null || conversations.length > MOST ? [ALL] : [...inPayloads(conversations)]
  await client.query('SELECT pg_notify($1, payload) FROM UNNEST($2::text[]) AS p (payload)', [CHANNEL, payloads])
}

/** Once users or keys have changed, for the other processes. */
export async function tellPeopleChanged(pool: Pick<pg.Pool, 'query'>): Promise<void> {
  await pool.query('SELECT pg_notify($1, $2)', [CHANNEL, PEOPLE])
}

/** JSON arrays of them, each of a size that a notification takes. */
function* inPayloads(conversations: readonly string[]): Generator<string> {
  let from = 0
  let bytes = 0
  for (const [at, id] of conversations.entries()) {
    const more = Buffer.byteLength(JSON.stringify(id)) + 1
    if (bytes + more > PAYLOAD_BYTES && at > from) {
      yield JSON.stringify(conversations.slice(from, at))
      from = at
      bytes = 0
    }
    bytes += more
  }
  if (from < conversations.length) yield JSON.stringify(conversations.slice(from))
}

/** Listens, on a connection of its own, until it is closed. */
export function listenForChanges(
  { url, pool, log }: { url: string; pool: Pick<pg.Pool, 'query'>; log: Pick<Logger, 'warn'> },
  listener: ChangeListener,
): { close(): Promise<void> } {
  const closing = new AbortController()
  const listening = async () => {
    let told = false
    while (!closing.signal.aborted) {
      try {
        await listen({ url, pool }, listener, closing.signal, () => {
          told = false
        })
      } catch (error) {
        if (!told)
          log.warn({ reason: messageOf(error) }, 'changes in Postgres are not heard of: nothing made of its rows is kept')
        told = true
      }
      await sleep(RETRY_MS, undefined, { signal: closing.signal }).catch(() => {})
    }
  }
  const done = listening()
  return {
    close: () => {
      closing.abort()
      return done
    },
  }
}

/** Resolves when it is to end. @throws when the connection is lost, or nothing comes over it */
async function listen(
  { url, pool }: { url: string; pool: Pick<pg.Pool, 'query'> },
  listener: ChangeListener,
  ending: AbortSignal,
  begun: () => void,
): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'changes',
    connectionTimeoutMillis: HEARD_MS,
    query_timeout: HEARD_MS,
    keepAlive: true,
  })
  const lost = new Promise<never>((_, reject) => {
    client.on('error', reject)
    client.on('end', () => reject(new Error('the connection ended')))
  })
  lost.catch(() => {}) // heard of below, or the client is ended here
  let heard = { beat: '', resolve: () => {} }
  client.on('notification', ({ payload = '' }) => {
    if (payload.startsWith(BEAT)) {
      if (payload === heard.beat) heard.resolve()
    } else if (payload === PEOPLE) listener.people()
    else listener.changed(payload === ALL ? null : JSON.parse(payload))
  })
  const beat = async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    heard = { beat: `${BEAT}${randomUUID()}`, resolve }
    await pool.query('SELECT pg_notify($1, $2)', [CHANNEL, heard.beat])
    const late = sleep(HEARD_MS, undefined, { signal: ending, ref: false }).then(
      () => {
        throw new Error(`nothing is heard over the connection within ${HEARD_MS} ms`)
      },
      () => {}, // it is to end
    )
    await Promise.race([lost, promise, late])
  }
  try {
    await client.connect()
    await client.query(`LISTEN ${CHANNEL}`)
    await beat()
    listener.begun()
    begun()
    while (!ending.aborted) {
      await Promise.race([lost, sleep(BEAT_MS, undefined, { signal: ending }).catch(() => {})])
      if (!ending.aborted) await beat()
    }
  } finally {
    listener.lost()
    client.end().catch(() => {})
  }
}
