/** The tables that records are written to, with their columns in the order of a row. */

export type Cell = string | number | null
export type Row = readonly Cell[]

/** Columns of every table: where the row comes from, and until when it may be written. */
const OF_THE_LOG = ['logged_at', 'log_topic', 'log_partition', 'log_offset', 'not_after'] as const

function table<const C extends readonly string[]>(name: string, columns: C) {
  return { name, columns: [...columns, ...OF_THE_LOG] as readonly string[], own: columns }
}

export const TABLES = {
  conversationEvents: table('conversation_events', [
    'event_id',
    'conversation_id',
    'channel',
    'kind',
    'venue_id',
    'language',
    'before',
    'after',
    'detail',
    'score',
    'runner_up',
    'message_id',
    'answers',
    'request_id',
    'at',
  ]),
  messages: table('message_log', [
    'message_id',
    'direction',
    'conversation_id',
    'channel',
    'kind',
    'text_length',
    'choices',
    'at',
    'received_at',
  ]),
  deliveries: table('deliveries', ['conversation_id', 'message_id', 'provider_ref', 'status', 'rank', 'error_code', 'at']),
  venueEvents: table('venue_events', [
    'event_id',
    'venue_id',
    'kind',
    'zone_id',
    'request_id',
    'command_id',
    'detail',
    'outcome',
    'at',
  ]),
  zoneStates: table('zone_states', ['event_id', 'venue_id', 'zone_id', 'status', 'detail', 'at']),
  commands: table('commands', [
    'event_id',
    'venue_id',
    'step',
    'request_id',
    'command_id',
    'zone_id',
    'kind',
    'outcome',
    'reason',
    'volume_from',
    'volume_to',
    'at',
  ]),
  syncRuns: table('sync_runs', [
    'run_id',
    'source',
    'outcome',
    'venues',
    'changed',
    'errors',
    'duration_ms',
    'started_at',
    'ended_at',
  ]),
  issues: table('issue_log', [
    'issue_id',
    'conversation_id',
    'channel',
    'venue_id',
    'department',
    'priority',
    'reason',
    'status',
    'opened_at',
    'due_at',
    'responded_at',
    'resolved_at',
    'updated_at',
  ]),
} as const

export type Tables = typeof TABLES
export type TableKey = keyof Tables
/** A row by its columns. */
export type RowOf<K extends TableKey> = Readonly<Record<Tables[K]['own'][number], Cell>>

const LAST_TIME = Date.UTC(2200, 0, 1)

/** A time in ms as DateTime64(3) takes it, kept within the years that it can say. */
export function timeText(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), LAST_TIME)).toISOString().slice(0, -1).replace('T', ' ')
}
