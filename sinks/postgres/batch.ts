/**
 * What a batch of records makes of the tables, folded: every row once, as its newest record has it. Written in the caller's
 * transaction.
 */
import type pg from 'pg'
import { columnArrays, messages, type Row, type Table, unnest, upsert, zones } from './tables.ts'

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

const STATUS = {
  conversation_id: 'text',
  id: 'text',
  provider_id: 'text',
  status: 'text',
  reason: 'text',
  error_code: 'integer',
  at: 'timestamptz',
} as const
const REPORT = {
  conversation_id: 'text',
  provider_id: 'text',
  status: 'text',
  reason: 'text',
  error_code: 'integer',
} as const
const PAIR = { conversation_id: 'text', provider_id: 'text' } as const

export class Batch {
  /** Per table, by key; null where the row is to be deleted. */
  readonly #rows = new Map<Table, Map<string, { row: Row; deleted: boolean }>>()
  /** The version of each venue's newest profile: its zones are those of this version. */
  readonly #zonesOf = new Map<string, Row>()
  readonly #statuses = new Map<string, Row>()
  readonly #reports = new Map<string, Row>()

  put(table: Table, row: Row, deleted = false): void {
    const rows = this.#rows.get(table) ?? new Map()
    this.#rows.set(table, rows)
    rows.set(JSON.stringify(table.key.map(column => row[column])), { row, deleted })
  }

  /** Zones of the venue that are older than this version have gone. */
  zonesOf(venue: string, version: number): void {
    this.#zonesOf.set(venue, { venue_id: venue, version })
  }

  /** The status of a message by our id of it. */
  status(id: string, providerId: string | null, status: Status): void {
    const key = `${status.conversation}\n${id}`
    const before = this.#statuses.get(key)
    const row = { ...statusRow(status), id, provider_id: before?.provider_id ?? providerId }
    this.#statuses.set(key, before === undefined || outranks(row, before) ? row : { ...before, provider_id: row.provider_id })
  }

  /** The status of a message by the provider's id of it. */
  report(providerId: string, status: Status): void {
    const key = `${status.conversation}\n${providerId}`
    const before = this.#reports.get(key)
    const row = { ...statusRow(status), provider_id: providerId }
    if (before === undefined || outranks(row, before)) this.#reports.set(key, row)
  }

  /** Returns how many rows were stale: the tables had newer ones. */
  async write(client: pg.ClientBase): Promise<number> {
    let stale = 0
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
    await writeStatuses(client, [...this.#statuses.values()])
    await writeReports(client, [...this.#reports.values()])
    await joinReports(
      client,
      [...this.#statuses.values(), ...this.#reports.values()].filter(row => row.provider_id !== null),
    )
    return stale
  }
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

/** A status whose message has not come yet makes the row; the content fills it in. */
async function writeStatuses(client: pg.ClientBase, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return
  const newer = 'status_rank(excluded.status) > status_rank(m.status)'
  const set = ['status', 'reason', 'error_code'].map(
    column => `${column} = CASE WHEN ${newer} THEN excluded.${column} ELSE m.${column} END`,
  )
  await client.query(
    `INSERT INTO ${messages.name} AS m
       (conversation_id, id, provider_id, status, reason, error_code, at, direction, channel, kind, version)
     SELECT *, 'out', '', 'unknown', -1 FROM ${unnest(STATUS)} ORDER BY 1, 2
     ON CONFLICT (conversation_id, id) DO UPDATE
     SET provider_id = coalesce(m.provider_id, excluded.provider_id), ${set.join(', ')}
     WHERE m.direction = 'out' AND (${newer} OR m.provider_id IS NULL)`,
    columnArrays(STATUS, rows),
  )
}

async function writeReports(client: pg.ClientBase, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return
  await client.query(
    `INSERT INTO delivery_reports AS d (conversation_id, provider_id, status, reason, error_code)
     SELECT * FROM ${unnest(REPORT)} ORDER BY 1, 2
     ON CONFLICT (conversation_id, provider_id) DO UPDATE
     SET status = excluded.status, reason = excluded.reason, error_code = excluded.error_code
     WHERE status_rank(excluded.status) > status_rank(d.status)`,
    columnArrays(REPORT, rows),
  )
}

/** Gives reports that wait to the messages that are now known to have the provider's id. */
async function joinReports(client: pg.ClientBase, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return
  await client.query(
    `WITH known AS (
       SELECT d.*, m.id FROM delivery_reports d JOIN messages m USING (conversation_id, provider_id)
       WHERE m.direction = 'out' AND (d.conversation_id, d.provider_id) IN (SELECT * FROM ${unnest(PAIR)})
     ), gone AS (
       DELETE FROM delivery_reports d USING known k
       WHERE d.conversation_id = k.conversation_id AND d.provider_id = k.provider_id
     )
     UPDATE messages m SET status = k.status, reason = k.reason, error_code = k.error_code FROM known k
     WHERE m.conversation_id = k.conversation_id AND m.id = k.id AND status_rank(k.status) > status_rank(m.status)`,
    columnArrays(PAIR, rows),
  )
}
