/**
 * The tables as the sink writes them: batches as arrays through UNNEST (one plan for any number of rows), sorted by key so
 * that writers do not deadlock, and never over a row of a newer version.
 */
import type pg from 'pg'

type ColumnType = 'text' | 'integer' | 'bigint' | 'float8' | 'boolean' | 'timestamptz' | 'jsonb' | 'bytea'
type Cell = string | number | boolean | Buffer | object | null
export type Row = Readonly<Record<string, Cell>>

export interface Table {
  readonly name: string
  readonly key: readonly string[]
  readonly columns: Readonly<Record<string, ColumnType>>
  /** Columns that an upsert leaves as they are in a row that is there. */
  readonly kept?: readonly string[]
  /** Column by whose month it is partitioned. */
  readonly monthly?: string
  /** Whether its months are dropped once they are old enough. */
  readonly ages?: true
}

const text = 'text' as const
const time = 'timestamptz' as const

export const venues: Table = {
  name: 'venues',
  key: ['id'],
  columns: {
    id: text,
    name: text,
    location: text,
    aliases: 'jsonb',
    contact_name: text,
    contact_email: text,
    contact_phone: text,
    contact_position: text,
    soundtrack_account_id: text,
    soundtrack_location_id: text,
    zone_count: 'integer',
    subscription_status: text,
    last_issue_date: text,
    notes: text,
    priority_level: text,
    sla_tier: text,
    volume_cap: 'integer',
    provenance: 'jsonb',
    overrides: 'jsonb',
    commands: 'jsonb',
    removed: 'boolean',
    updated_at: time,
    version: 'bigint',
  },
}

export const zones: Table = {
  name: 'zones',
  key: ['venue_id', 'id'],
  columns: {
    venue_id: text,
    id: text,
    name: text,
    status: text,
    detail: text,
    playback: text,
    volume: 'integer',
    track: text,
    artist: text,
    source: text,
    since: time,
    last_seen: time,
    as_of: time,
    version: 'bigint',
  },
}

export const conversations: Table = {
  name: 'conversations',
  key: ['id', 'opened_at'],
  monthly: 'opened_at',
  columns: {
    id: text,
    channel: text,
    account: text,
    user_id: text,
    state: text,
    owner: text,
    assignee: text,
    trust: text,
    senders: 'jsonb',
    language: text,
    venue_id: text,
    venue_name: text,
    contact_name: text,
    contact_position: text,
    issue: text,
    requests: 'jsonb',
    commands: 'jsonb',
    opened_at: time,
    updated_at: time,
    last_inbound_at: time,
    version: 'bigint',
  },
}

export const messages: Table = {
  name: 'messages',
  key: ['conversation_id', 'at', 'id'],
  monthly: 'at',
  ages: true,
  columns: {
    conversation_id: text,
    id: text,
    direction: text,
    channel: text,
    provider_id: text,
    sender_id: text,
    text,
    kind: text,
    at: time,
    status: text,
    reason: text,
    error_code: 'integer',
    version: 'bigint',
  },
  // The version of its first delivery says whether it came before its person was erased.
  kept: ['provider_id', 'status', 'reason', 'error_code', 'version'],
}

export const notes: Table = {
  name: 'conversation_notes',
  key: ['id'],
  columns: { id: text, conversation_id: text, by_id: text, by_name: text, text, at: time, version: 'bigint' },
}

export const conversationEvents: Table = {
  name: 'conversation_events',
  key: ['id'],
  columns: {
    id: text,
    conversation_id: text,
    kind: text,
    venue_id: text,
    language: text,
    from: text,
    to: text,
    detail: text,
    score: 'float8',
    runner_up: 'float8',
    message: text,
    request: text,
    at: time,
    version: 'bigint',
  },
}

export const venueEvents: Table = {
  name: 'venue_events',
  key: ['id'],
  columns: {
    id: text,
    venue_id: text,
    kind: text,
    zone: text,
    request: text,
    command: text,
    detail: text,
    outcome: text,
    volume_from: 'integer',
    volume_to: 'integer',
    at: time,
    version: 'bigint',
  },
}

export const issues: Table = {
  name: 'issues',
  key: ['id'],
  columns: {
    id: text,
    conversation_id: text,
    channel: text,
    venue_id: text,
    venue_name: text,
    department: text,
    priority: text,
    reason: text,
    text,
    status: text,
    assignee: text,
    opened_at: time,
    due_at: time,
    responded_at: time,
    resolved_at: time,
    resolved_by: text,
    updated_at: time,
    version: 'bigint',
  },
}

export const archive: Table = {
  name: 'conversation_archive',
  key: ['topic', 'partition', 'offset', 'at'],
  monthly: 'at',
  ages: true,
  columns: {
    topic: text,
    partition: 'integer',
    offset: 'bigint',
    conversation_id: text,
    at: time,
    record_type: text,
    fingerprint: 'bytea',
    value: 'bytea',
    headers: 'jsonb',
  },
}

export const schemas: Table = { name: 'schemas', key: ['fingerprint'], columns: { fingerprint: 'bytea', schema: text } }

export const auditLog: Table = {
  name: 'audit_log',
  key: ['log_partition', 'log_offset'],
  columns: {
    log_partition: 'integer',
    log_offset: 'bigint',
    id: text,
    actor: text,
    actor_kind: text,
    role: text,
    action: text,
    object: text,
    outcome: text,
    status: 'integer',
    personal: 'boolean',
    request_id: text,
    command: text,
    before: text,
    after: text,
    at: time,
    previous_hash: 'bytea',
    hash: 'bytea',
  },
}

export const alerts: Table = {
  name: 'alerts',
  key: ['id'],
  columns: {
    id: text,
    venue_id: text,
    conversation_id: text,
    department: text,
    priority: text,
    kind: text,
    text,
    resolved: 'boolean',
    at: time,
    version: 'bigint',
  },
}

export const syncRuns: Table = {
  name: 'sync_runs',
  key: ['id'],
  columns: {
    id: text,
    source: text,
    started_at: time,
    ended_at: time,
    outcome: text,
    venues: 'integer',
    changed: 'integer',
    errors: 'integer',
    duration_ms: 'float8',
    reason: text,
    refusals: 'jsonb',
    version: 'bigint',
  },
}

/** What a synchronisation could not read, in pages. */
export const syncRefusals: Table = {
  name: 'sync_refusals',
  key: ['run_id', 'page'],
  columns: { run_id: text, page: 'integer', at: time, refusals: 'jsonb', version: 'bigint' },
}

export const deadLetters: Table = {
  name: 'dead_letters',
  key: ['log_partition', 'log_offset'],
  columns: {
    log_partition: 'integer',
    log_offset: 'bigint',
    topic: text,
    partition: 'integer',
    offset: 'bigint',
    key: text,
    record_type: text,
    value: 'bytea',
    bytes: 'integer',
    decision: text,
    cause: text,
    code_version: text,
    at: time,
  },
}

/** Orders to erase a person, by the inbox that they were on. */
export const erasures: Table = {
  name: 'erasures',
  key: ['conversation_id', 'topic'],
  columns: { conversation_id: text, topic: text, at: time, logged_at: time, version: 'bigint' },
}

export const erasedMessages: Table = {
  name: 'erased_messages',
  key: ['conversation_id', 'ref'],
  columns: { conversation_id: text, ref: text, at: time },
}

/** Rows of one statement: what it unnests stays within the server's working memory. */
const ROWS = 5_000

/** Inserts the rows, or updates those that are older; a row is there once per key. Returns how many were stale. */
export async function upsert(client: pg.ClientBase, table: Table, rows: readonly Row[]): Promise<number> {
  if (rows.length === 0) return 0
  const sorted = rows.toSorted((a, b) => compareKeys(table, a, b))
  let written = 0
  for (let from = 0; from < sorted.length; from += ROWS) {
    const { rowCount } = await client.query(upsertSql(table), columnArrays(table.columns, sorted.slice(from, from + ROWS)))
    written += rowCount ?? 0
  }
  return rows.length - written
}

/** Arrays of one column each, as the parameters of UNNEST. */
export function columnArrays(columns: Table['columns'], rows: readonly Row[]): unknown[][] {
  return Object.entries(columns).map(([name, type]) => rows.map(row => parameter(type, row[name] ?? null)))
}

/** `UNNEST($1::text[], $2::bigint[] …)` for these columns. */
export function unnest(columns: Table['columns']): string {
  return `UNNEST(${Object.values(columns)
    .map((type, i) => `$${i + 1}::${type}[]`)
    .join(', ')})`
}

const statements = new Map<Table, string>()

function upsertSql(table: Table): string {
  const known = statements.get(table)
  if (known !== undefined) return known
  const columns = Object.keys(table.columns)
  const set = columns
    .filter(column => !table.key.includes(column) && !(table.kept ?? []).includes(column))
    .map(column => `"${column}" = excluded."${column}"`)
  const onConflict = columns.includes('version')
    ? `DO UPDATE SET ${set.join(', ')} WHERE ${table.name}.version < excluded.version`
    : 'DO NOTHING'
  const sql = `INSERT INTO ${table.name} (${columns.map(column => `"${column}"`).join(', ')})
    SELECT * FROM ${unnest(table.columns)} ON CONFLICT (${table.key.map(column => `"${column}"`).join(', ')}) ${onConflict}`
  statements.set(table, sql)
  return sql
}

/** What Postgres takes: it has no NUL in text or JSON, and its times are kept to years that its ISO format can say. */
function parameter(type: ColumnType, cell: Cell): unknown {
  if (cell === null) return null
  if (type === 'timestamptz') return isoTime(cell as number)
  if (type === 'jsonb') return JSON.stringify(cell, (_, value) => (typeof value === 'string' ? withoutNul(value) : value))
  return typeof cell === 'string' ? withoutNul(cell) : cell
}

const LAST_TIME = Date.UTC(9999, 11, 31)

/** ISO 8601 of a time in ms, kept within the years 1970 to 9999. */
export function isoTime(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), LAST_TIME)).toISOString()
}

function withoutNul(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '') : text
}

function compareKeys(table: Table, a: Row, b: Row): number {
  for (const column of table.key) {
    const [x, y] = [a[column] as string | number, b[column] as string | number]
    if (x !== y) return x < y ? -1 : 1
  }
  return 0
}
