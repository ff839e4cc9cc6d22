/**
 * What became of messages that were sent, by our id or by the provider's. A report whose message is there goes into the message's row;
 * the others wait in this table until it is.
 */
import type pg from 'pg'
import { outranks } from '../../../domain/delivery-status.ts'
import { channelInboxes, conversationInbox } from '../../../topics/catalog.ts'
import { columnArrays, unnest } from '../upsert.ts'
import { digestOf, erasedBefore } from './erased.ts'
import { messages } from './messages.ts'
import { defineTable, lower, type Row, type Table, text, time } from './table.ts'

/** Columns of a report besides `provider`. */
const REPORT = {
  conversation_id: text,
  ref: text,
  provider_id: text,
  status: text,
  reason: text,
  error_code: 'integer',
  at: time,
} as const

export const messageReports: Table = defineTable({
  name: 'message_reports',
  key: ['conversation_id', 'ref', 'provider'],
  columns: { ...REPORT, provider: 'boolean' },
  from: {
    SendResult: {
      topics: [...channelInboxes().values()],
      // A refusal is reported by the connector, with its reason. A part that others follow is not the message.
      rows: ({ accepted, more, id, providerId, at }, { key }) =>
        accepted && !more
          ? {
              conversation_id: key,
              ref: id,
              provider: false,
              provider_id: providerId,
              status: 'sent',
              reason: '',
              error_code: null,
              at,
            }
          : [],
    },
    SendOutcome: {
      topics: [conversationInbox],
      rows: (outcome, { key }) => ({
        conversation_id: key,
        ref: outcome.id,
        provider: false,
        provider_id: outcome.providerId,
        status: lower(outcome.status),
        reason: outcome.reason,
        error_code: outcome.errorCode,
        at: outcome.at,
      }),
    },
    DeliveryStatus: {
      topics: [conversationInbox],
      rows: (report, { key }) => ({
        conversation_id: key,
        ref: report.providerId,
        provider: true,
        provider_id: report.providerId,
        status: lower(report.status),
        reason: report.error ?? '',
        error_code: report.errorCode,
        at: report.at,
      }),
    },
  },
  fold: (earlier, later) => {
    const provider_id = earlier.provider_id ?? later.provider_id ?? null
    return { ...(outranks(later.status as string, earlier.status as string) ? later : earlier), provider_id }
  },
  write: async (client, batch) => {
    const reports = batch.rowsOf(messageReports)
    const ours = reports.filter(({ provider }) => provider === false)
    await applyReports(client, 'id', ours)
    await applyReports(
      client,
      'provider_id',
      reports.filter(({ provider }) => provider === true),
    )
    const sent = batch.rowsOf(messages).filter(({ direction }) => direction === 'out')
    const conversations = new Set([...sent, ...ours].map(row => row.conversation_id as string))
    if (conversations.size > 0) await applyWaiting(client, [...conversations])
    return 0
  },
  conversation: 'conversation_id',
  // A message that was underway when it was erased may be reported later.
  erased: `t.at <= e.logged_at OR (NOT t.provider AND ${erasedBefore(digestOf('t.ref'))})`,
  rebuild: 'skip',
})

/** A status replaces one of lower rank. */
const SET_STATUS = ['status', 'reason', 'error_code']
  .map(column => `${column} = CASE WHEN status_rank(r.status) > status_rank(m.status) THEN r.${column} ELSE m.${column} END`)
  .concat('provider_id = coalesce(m.provider_id, r.provider_id)')
  .join(', ')

/** Gives messages their statuses, and keeps the reports that find no message. */
async function applyReports(client: pg.ClientBase, by: 'id' | 'provider_id', rows: readonly Row[]): Promise<void> {
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

/** Gives waiting reports to messages that are there now: first by our id, which may bring the provider's. */
async function applyWaiting(client: pg.ClientBase, conversations: readonly string[]): Promise<void> {
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
