/**
 * What a batch of records makes of the tables, folded: every row once, as its newest record has it. Written in the caller's
 * transaction.
 */
import type pg from 'pg'
import type { AuditEvent } from '../../schemas/types.ts'
import { auditHash, FIRST_HASH } from '../../domain/audit-hash.ts'
import { tellChanged } from './changes.ts'
import { eraseAgain } from './erasures.ts'
import { auditLog, columnArrays, isoTime, messages, type Row, type Table, unnest, upsert, zones } from './tables.ts'

/** What became of a message of ours. */
export interface Status {
  readonly conversation: string
  readonly status: string
  readonly reason: string
  readonly errorCode: number | null
  readonly at: number
}

/** Ranks as in the migration's `status_rank`: a status replaces one of lower rank. */
const RANKS = ['queued', 'unknown', 'sent', 'failed', 'delivered', 'read']

/** By our id of the message, or by the provider's. */
const REPORT = {
  conversation_id: 'text',
  ref: 'text',
  provider_id: 'text',
  status: 'text',
  reason: 'text',
  error_code: 'integer',
  at: 'timestamptz',
} as const

/** Providers deliver again for a week. */
const REDELIVERED_MS = 8 * 24 * 60 * 60 * 1000

/** Tables that name a conversation otherwise than by `conversation_id`. */
const CONVERSATION_IN: Readonly<Record<string, string>> = { conversations: 'id', dead_letters: 'key' }

export class Batch {
  /** Per table, by key; null where the row is to be deleted. */
  readonly #rows = new Map<Table, Map<string, { row: Row; deleted: boolean }>>()
  /** The version of each venue's newest profile: its zones are those of this version. */
  readonly #zonesOf = new Map<string, Row>()
  /** What became of messages, by our id of them and by the provider's. */
  readonly #byId = new Map<string, Row>()
  readonly #byProvider = new Map<string, Row>()
  /** Schemas of the archive's records, by fingerprint. */
  readonly #schemas = new Map<string, string>()
  /** Events of the audit trail in their order, by partition. */
  readonly #audited = new Map<number, { offset: number; event: AuditEvent }[]>()

  /** Rows of before are too old to be kept, ms. */
  readonly #from: number

  constructor(from = Number.NEGATIVE_INFINITY) {
    this.#from = from
  }

  put(table: Table, row: Row, deleted = false): void {
    if (this.#isTooOld(table, row)) return
    const rows = this.#rows.get(table) ?? new Map()
    this.#rows.set(table, rows)
    rows.set(JSON.stringify(table.key.map(column => row[column])), { row, deleted })
  }

  /** A message; the time of its first delivery stays, for it says in which partition it lies, and so does its version. */
  message(row: Row): void {
    if (this.#isTooOld(messages, row)) return
    const key = JSON.stringify([row.conversation_id, row.id])
    const rows = this.#rows.get(messages) ?? new Map()
    this.#rows.set(messages, rows)
    const before = rows.get(key)
    rows.set(key, {
      row: before === undefined ? row : { ...row, at: before.row.at, version: before.row.version },
      deleted: false,
    })
  }

  #isTooOld({ ages, monthly }: Table, row: Row): boolean {
    return ages === true && (row[monthly as string] as number) < this.#from
  }

  /** Zones of the venue that are older than this version have gone. */
  zonesOf(venue: string, version: number): void {
    this.#zonesOf.set(venue, { venue_id: venue, version })
  }

  /** The status of a message by our id of it. */
  status(id: string, providerId: string | null, status: Status): void {
    report(this.#byId, id, providerId, status)
  }

  /** The status of a message by the provider's id of it. */
  report(providerId: string, status: Status): void {
    report(this.#byProvider, providerId, providerId, status)
  }

  schema(fingerprint: string, text: string): void {
    this.#schemas.set(fingerprint, text)
  }

  audit(partition: number, offset: number, event: AuditEvent): void {
    const events = this.#audited.get(partition) ?? []
    this.#audited.set(partition, events)
    events.push({ offset, event })
  }

  /** Schemas of its records, by fingerprint. */
  get schemas(): ReadonlyMap<string, string> {
    return this.#schemas
  }

  /** Rows by table, for what has to be there before they are written. */
  rows(): (readonly [Table, Row[]])[] {
    return [...this.#rows].map(([table, rows]) => [table, [...rows.values()].map(({ row }) => row)])
  }

  /** Returns how many rows were stale: the tables had newer ones. */
  async write(client: pg.ClientBase): Promise<number> {
    let stale = 0
    await this.#keepTimes(client)
    for (const [table, rows] of this.#rows) {
      const all = [...rows.values()]
      stale += await upsert(
        client,
        table,
        all.filter(({ deleted }) => !deleted).map(({ row }) => row),
      )
      await remove(
        client,
        table,
        all.filter(({ deleted }) => deleted).map(({ row }) => row),
      )
    }
    await dropZones(client, [...this.#zonesOf.values()])
    await this.#writeReports(client)
    for (const [partition, events] of this.#audited) await writeAudit(client, partition, events)
    const conversations = this.#conversations()
    if (conversations.length > 0) {
      await eraseAgain(client, conversations)
      await tellChanged(client, conversations)
    }
    return stale
  }

  /** Whatever these rows may be of. */
  #conversations(): string[] {
    const ids = new Set<unknown>()
    for (const [table, rows] of this.#rows) {
      const column = CONVERSATION_IN[table.name] ?? 'conversation_id'
      if (Object.hasOwn(table.columns, column)) for (const { row } of rows.values()) ids.add(row[column])
    }
    for (const row of [...this.#byId.values(), ...this.#byProvider.values()]) ids.add(row.conversation_id)
    return [...ids].filter(id => typeof id === 'string')
  }

  /** A message that is there already, delivered again with another time, keeps the time that it has. */
  async #keepTimes(client: pg.ClientBase): Promise<void> {
    const rows = this.#rows.get(messages)
    if (rows === undefined || rows.size === 0) return
    const all = [...rows.values()].map(({ row }) => row)
    let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
    for (const { at } of all) {
      from = Math.min(from, at as number)
      to = Math.max(to, at as number)
    }
    const { rows: there } = await client.query<{ conversation_id: string; id: string; at: Date }>(
      `SELECT m.conversation_id, m.id, m.at FROM UNNEST($1::text[], $2::text[], $3::timestamptz[]) AS n (conversation_id, id, at)
       JOIN messages m ON m.conversation_id = n.conversation_id AND m.id = n.id AND m.at <> n.at
       WHERE m.at BETWEEN $4 AND $5`,
      [
        all.map(row => row.conversation_id),
        all.map(row => row.id),
        all.map(row => isoTime(row.at as number)),
        isoTime(from - REDELIVERED_MS),
        isoTime(to + REDELIVERED_MS),
      ],
    )
    for (const { conversation_id, id, at } of there) {
      const entry = rows.get(JSON.stringify([conversation_id, id]))
      if (entry !== undefined) entry.row = { ...entry.row, at: at.getTime() }
    }
  }

  /** A report whose message has not come yet waits for it. */
  async #writeReports(client: pg.ClientBase): Promise<void> {
    const sent = [...(this.#rows.get(messages)?.values() ?? [])].map(({ row }) => row).filter(row => row.direction === 'out')
    await writeReports(client, 'id', [...this.#byId.values()])
    await writeReports(client, 'provider_id', [...this.#byProvider.values()])
    const conversations = [...sent, ...this.#byId.values()].map(row => row.conversation_id)
    if (conversations.length > 0) await joinReports(client, [...new Set(conversations)] as string[])
  }
}

function report(reports: Map<string, Row>, ref: string, providerId: string | null, status: Status): void {
  const key = `${status.conversation}\n${ref}`
  const before = reports.get(key)
  const row = { ...statusRow(status), ref, provider_id: before?.provider_id ?? providerId }
  reports.set(key, before === undefined || outranks(row, before) ? row : { ...before, provider_id: row.provider_id })
}

function statusRow({ conversation, status, reason, errorCode, at }: Status): Row {
  return { conversation_id: conversation, status, reason, error_code: errorCode, at }
}

function outranks(a: Row, b: Row): boolean {
  return RANKS.indexOf(a.status as string) > RANKS.indexOf(b.status as string)
}

async function remove(client: pg.ClientBase, table: Table, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return
  const columns = { id: 'text', version: 'bigint' } as const
  await client.query(
    `DELETE FROM ${table.name} t USING ${unnest(columns)} AS gone (id, version) WHERE t.id = gone.id AND t.version < gone.version`,
    columnArrays(columns, rows),
  )
}

async function dropZones(client: pg.ClientBase, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return
  const columns = { venue_id: 'text', version: 'bigint' } as const
  await client.query(
    `DELETE FROM ${zones.name} z USING ${unnest(columns)} AS now (venue_id, version)
     WHERE z.venue_id = now.venue_id AND z.version < now.version`,
    columnArrays(columns, rows),
  )
}

/** A status replaces one of lower rank. */
const SET_STATUS = ['status', 'reason', 'error_code']
  .map(column => `${column} = CASE WHEN status_rank(r.status) > status_rank(m.status) THEN r.${column} ELSE m.${column} END`)
  .concat('provider_id = coalesce(m.provider_id, r.provider_id)')
  .join(', ')

/** Gives messages their statuses. What finds no message is kept. */
async function writeReports(client: pg.ClientBase, by: 'id' | 'provider_id', rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return
  const newer = 'status_rank(excluded.status) > status_rank(w.status)'
  const set = ['status', 'reason', 'error_code', 'at'].map(
    column => `${column} = CASE WHEN ${newer} THEN excluded.${column} ELSE w.${column} END`,
  )
  const columns = Object.keys(REPORT).join(', ')
  await client.query(
    `WITH r AS MATERIALIZED (SELECT * FROM ${unnest(REPORT)} AS r (${columns})), told AS (
       UPDATE messages m SET ${SET_STATUS}
       FROM r WHERE m.conversation_id = r.conversation_id AND m.${by} = r.ref AND m.direction = 'out'
       RETURNING r.conversation_id, r.ref
     )
     INSERT INTO message_reports AS w (${columns}, provider)
     SELECT r.*, ${by === 'provider_id'} FROM r WHERE (conversation_id, ref) NOT IN (SELECT * FROM told) ORDER BY 1, 2
     ON CONFLICT (conversation_id, ref, provider) DO UPDATE
     SET provider_id = coalesce(w.provider_id, excluded.provider_id), ${set.join(', ')}`,
    columnArrays(REPORT, rows),
  )
}

/** Gives reports that wait to the messages that are now known: first by our id, which may tell the provider's. */
async function joinReports(client: pg.ClientBase, conversations: readonly string[]): Promise<void> {
  const waiting = 'SELECT 1 FROM message_reports WHERE conversation_id = ANY($1) LIMIT 1'
  if ((await client.query(waiting, [conversations])).rowCount === 0) return
  for (const by of ['id', 'provider_id']) {
    await client.query(
      `WITH told AS (
         UPDATE messages m SET ${SET_STATUS}
         FROM message_reports r
         WHERE r.conversation_id = ANY($1) AND r.provider = $2 AND m.conversation_id = r.conversation_id
           AND m.${by} = r.ref AND m.direction = 'out'
         RETURNING r.conversation_id, r.ref, r.provider
       )
       DELETE FROM message_reports w USING told
       WHERE w.conversation_id = told.conversation_id AND w.ref = told.ref AND w.provider = told.provider`,
      [conversations, by === 'provider_id'],
    )
  }
}

/** Goes on with the chain from the newest event that is there. One that is there already is of an earlier try. */
async function writeAudit(
  client: pg.ClientBase,
  partition: number,
  events: readonly { offset: number; event: AuditEvent }[],
): Promise<void> {
  const { rows } = await client.query<{ offset: string; hash: Buffer }>(
    'SELECT log_offset AS offset, hash FROM audit_log WHERE log_partition = $1 ORDER BY log_offset DESC LIMIT 1',
    [partition],
  )
  let previous = rows[0]?.hash ?? FIRST_HASH
  const from = rows[0] === undefined ? 0 : Number(rows[0].offset) + 1
  const chained = events
    .filter(({ offset }) => offset >= from)
    .map(({ offset, event }) => {
      const hash = auditHash(previous, offset, event)
      const row = {
        log_partition: partition,
        log_offset: offset,
        id: event.id,
        actor: event.actor,
        actor_kind: event.actorKind,
        role: event.role,
        action: event.action,
        object: event.object,
        outcome: event.outcome,
        status: event.status,
        personal: event.personal,
        request_id: event.requestId,
        command: event.command,
        before: event.before,
        after: event.after,
        at: event.at,
        previous_hash: previous,
        hash,
      }
      previous = hash
      return row
    })
  await upsert(client, auditLog, chained)
}
