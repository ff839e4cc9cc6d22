/** Messages of both directions. What became of one is written by `message-reports.ts`. */
import type pg from 'pg'
import { channelInboxes, conversationInbox } from '../../../topics/catalog.ts'
import { upsert } from '../upsert.ts'
import { isoTime } from '../values.ts'
import { digestOf, erasedBefore, ON_CONVERSATION_INBOX } from './erased.ts'
import { defineTable, lower, type Row, type Table, text, time } from './table.ts'

/** Providers deliver again for a week. */
const REDELIVERED_MS = 8 * 24 * 60 * 60 * 1000
const STATUS_COLUMNS = ['status', 'reason', 'error_code']

export const messages: Table = defineTable({
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
  from: {
    ChatMessage: {
      topics: [conversationInbox],
      rows: (message, { key, version }) => ({
        conversation_id: key,
        id: message.id,
        direction: 'in',
        channel: message.channel,
        provider_id: message.id,
        sender_id: message.sender.id,
        text: message.text,
        kind: lower(message.kind),
        at: message.sentAt,
        status: 'delivered',
        reason: '',
        error_code: null,
        version,
      }),
    },
    SendMessage: {
      topics: [...channelInboxes().values()],
      rows: (message, { version }) => ({
        conversation_id: message.conversation,
        id: message.id,
        direction: 'out',
        channel: message.channel,
        provider_id: null,
        sender_id: null,
        text: message.text,
        // What it offers, however the channel shows it.
        kind: message.buttons.length === 0 ? 'text' : 'button',
        at: message.createdAt,
        status: 'queued',
        reason: '',
        error_code: null,
        version,
      }),
    },
  },
  // The version of the first delivery tells whether the message came before its person was erased.
  kept: ['provider_id', 'status', 'reason', 'error_code', 'version'],
  identity: ['conversation_id', 'id'],
  // The time of the first delivery decides the partition, so it stays.
  fold: (earlier, later) => ({ ...later, at: earlier.at ?? null, version: earlier.version ?? null }),
  write: async (client, batch) => upsert(client, messages, await withKnownTimes(client, batch.rowsOf(messages))),
  conversation: 'conversation_id',
  erased: `(t.version < e.version AND (t.direction = 'in') = (${ON_CONVERSATION_INBOX})) OR ${erasedBefore(digestOf('t.id'))}`,
  rebuild: 'update',
  // The log may have dropped what became of a message.
  merged: column => {
    if (column === 'provider_id') return 'coalesce(excluded.provider_id, t.provider_id)'
    if (!STATUS_COLUMNS.includes(column)) return `excluded."${column}"`
    return `CASE WHEN status_rank(t.status) > status_rank(excluded.status) THEN t."${column}" ELSE excluded."${column}" END`
  },
})

/** The rows, each with the time that the table already has for its message: a second delivery may bring another. */
async function withKnownTimes(client: pg.ClientBase, rows: readonly Row[]): Promise<readonly Row[]> {
  if (rows.length === 0) return rows
  let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const { at } of rows) {
    from = Math.min(from, at as number)
    to = Math.max(to, at as number)
  }
  const { rows: known } = await client.query<{ conversation_id: string; id: string; at: Date }>(
    `SELECT m.conversation_id, m.id, m.at FROM UNNEST($1::text[], $2::text[], $3::timestamptz[]) AS n (conversation_id, id, at)
     JOIN messages m ON m.conversation_id = n.conversation_id AND m.id = n.id AND m.at <> n.at
     WHERE m.at BETWEEN $4 AND $5`,
    [
      rows.map(row => row.conversation_id),
      rows.map(row => row.id),
      rows.map(row => isoTime(row.at as number)),
      isoTime(from - REDELIVERED_MS),
      isoTime(to + REDELIVERED_MS),
    ],
  )
  if (known.length === 0) return rows
  const times = new Map(known.map(({ conversation_id, id, at }) => [JSON.stringify([conversation_id, id]), at.getTime()]))
  return rows.map(row => ({ ...row, at: times.get(JSON.stringify([row.conversation_id, row.id])) ?? row.at ?? null }))
}
