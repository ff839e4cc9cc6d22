/**
 * Change notifications: which conversations' rows have changed, sent by the transaction that changes them to those who cache rows:
 *
 *   write ─▶ NOTIFY ─▶ COMMIT ─▶ LISTEN
 *
 * A listener that lost its connection has missed changes, and is told so. Heartbeats sent over another connection show whether
 * notifications arrive at all: a proxy that pools sessions accepts LISTEN, and passes nothing on.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'

const CHANNEL = 'rows_changed'
/** Payload for all conversations. */
const ALL = '*'
/** Below the limit of a notification, 8,000 bytes. */
const MAX_PAYLOAD_BYTES = 7_000
/** More conversations at once than anyone caches. */
const MAX_CONVERSATIONS = 5_000

/** Payload for users and API keys. */
const PEOPLE = '!'
/** Prefix of heartbeats. */
const BEAT = '@'
/** The pause between heartbeats, and how long one may take. */
const BEAT_MS = 5_000
const HEARD_MS = 10_000
const RETRY_MS = 500

export interface ChangeListener {
  /** Listening: from now on no change is missed. */
  begun(): void
  /** @param conversations null for all */
  changed(conversations: readonly string[] | null): void
  /** Users or API keys have changed. */
  people(): void
  /** Changes are missed until `begun`. */
  lost(): void
}

/** Call it in the transaction that changes the rows: it takes effect with the commit. @param conversations null for all */
export async function tellChanged(client: Pick<pg.ClientBase, 'query'>, conversations: readonly string[] | null): Promise<void> {
  const payloads = conversations === null || conversations.length > MAX_CONVERSATIONS ? [ALL] : [...inPayloads(conversations)]
  await client.query('SELECT pg_notify($1, payload) FROM UNNEST($2::text[]) AS p (payload)', [CHANNEL, payloads])
}

/** Notifies other processes that users or API keys have changed. */
export async function tellPeopleChanged(pool: Pick<pg.Pool, 'query'>): Promise<void> {
  await pool.query('SELECT pg_notify($1, $2)', [CHANNEL, PEOPLE])
}

/** JSON arrays of the ids, each small enough for a notification. */
function* inPayloads(conversations: readonly string[]): Generator<string> {
  let from = 0
  let bytes = 0
  for (const [at, id] of conversations.entries()) {
    const more = Buffer.byteLength(JSON.stringify(id)) + 1
    if (bytes + more > MAX_PAYLOAD_BYTES && at > from) {
      yield JSON.stringify(conversations.slice(from, at))
      from = at
      bytes = 0
    }
    bytes += more
  }
  if (from < conversations.length) yield JSON.stringify(conversations.slice(from))
}

/** Listens on its own connection until closed. */
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
          log.warn({ reason: messageOf(error) }, 'change notifications of Postgres are not received: its rows are not cached')
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

/** Listens until `ending` aborts. @throws when the connection is lost, or no heartbeat arrives */
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
  lost.catch(() => {}) // handled below
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
        throw new Error(`no heartbeat arrived within ${HEARD_MS} ms`)
      },
      () => {}, // closing
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
