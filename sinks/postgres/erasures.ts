/**
 * What is not kept of a person who was erased. The order lies on the conversation's inbox and on the connector's, so that what came
 * before it there is told by its offset; what other topics say of the conversation, by its time. Applied at the end of every write
 * that concerns such a conversation: nothing that comes late, or again, stays.
 */
import type pg from 'pg'
import { ASKED_BY } from '../../engine/headers.ts'
import { conversationInbox, conversationJournal } from '../../topics/catalog.ts'
import { tellChanged } from './changes.ts'
import { transact } from './positions.ts'

/** Which rows `t` an erasure `e` takes. */
export interface Erased {
  readonly table: string
  /** Column with the conversation. */
  readonly of: string
  readonly where: string
}

const OF_INBOX = `e.topic = '${conversationInbox.name}'`
/** As in the ids of records: `reference` of processors/conversation/id.ts. */
const REF = (column: string) => `left(encode(sha256(convert_to(${column}, 'UTF8')), 'hex'), 20)`
/** What was looked up for a record lies under that record's offset, whenever it was handled. */
const ASKED = `split_part(t.headers->>'${ASKED_BY}', '.', 1)::bigint`
const AGAIN = (ref: string) =>
  `EXISTS (SELECT 1 FROM erased_messages r WHERE r.conversation_id = e.conversation_id AND r.ref = ${ref})`

export const ERASED: readonly Erased[] = [
  {
    table: 'messages',
    of: 'conversation_id',
    where: `(t.version < e.version AND (t.direction = 'in') = (${OF_INBOX})) OR ${AGAIN(REF('t.id'))}`,
  },
  {
    table: 'conversation_archive',
    of: 'conversation_id',
    // What the connector still told of messages that it had sent lies behind the order.
    where: `(t.topic = e.topic AND t."offset" < e.version)
      OR (${OF_INBOX} AND t.topic = '${conversationJournal.name}' AND ${ASKED} < e.version)
      OR (NOT ${OF_INBOX} AND t.record_type IN ('SendOutcome', 'DeliveryStatus') AND t.at <= e.logged_at)
      OR ${AGAIN("(t.headers->>'id')")}`,
  },
  {
    table: 'message_reports',
    of: 'conversation_id',
    // A message that was on its way when it was erased may be reported later.
    where: `t.at <= e.logged_at OR (NOT t.provider AND ${AGAIN(REF('t.ref'))})`,
  },
  { table: 'conversation_notes', of: 'conversation_id', where: `t.version < e.version AND ${OF_INBOX}` },
  { table: 'conversations', of: 'id', where: 't.opened_at < e.at' },
  { table: 'issues', of: 'conversation_id', where: 't.opened_at < e.at' },
  { table: 'alerts', of: 'conversation_id', where: 't.at <= e.at' },
  { table: 'dead_letters', of: 'key', where: 't.topic = e.topic AND t."offset" < e.version' },
]

/** Longer than providers deliver again. */
const KNOWN = '40 days'

/** Deletes what there should not be of these conversations; of all where none are named. In the caller's transaction. */
export async function eraseAgain(client: pg.ClientBase, conversations: readonly string[] | null): Promise<void> {
  const { rows } =
    conversations === null
      ? await client.query<{ id: string }>('SELECT DISTINCT conversation_id AS id FROM erasures')
      : await client.query<{ id: string }>(
          'SELECT DISTINCT conversation_id AS id FROM erasures WHERE conversation_id = ANY($1)',
          [conversations],
        )
  if (conversations === null) {
    await client.query(
      'DELETE FROM dead_letters t USING erased_letters e WHERE t.log_partition = e.log_partition AND t.log_offset = e.log_offset',
    )
  }
  if (rows.length === 0) return
  const erased = [rows.map(({ id }) => id)]
  const [messages] = ERASED as [Erased]
  for (const table of ['erased_messages', 'erased_letters'])
    await client.query(`DELETE FROM ${table} WHERE at < now() - interval '${KNOWN}'`)
  await client.query(
    `INSERT INTO erased_messages SELECT t.conversation_id, ${REF('t.id')}, max(e.logged_at)
     FROM messages t JOIN erasures e ON e.conversation_id = t.conversation_id
     WHERE t.conversation_id = ANY($1) AND (${messages.where}) GROUP BY 1, 2 ON CONFLICT DO NOTHING`,
    erased,
  )
  for (const { table, of, where } of ERASED) {
    await client.query(
      `DELETE FROM ${table} t USING erasures e WHERE t.${of} = ANY($1) AND e.conversation_id = t.${of} AND (${where})`,
      erased,
    )
  }
  // Ids of messages as earlier code wrote them may hold a phone.
  await client.query(
    `UPDATE conversation_events t SET message = NULL FROM erasures e WHERE t.conversation_id = ANY($1)
       AND e.conversation_id = t.conversation_id AND t.at <= e.at AND t.kind IN ('intent', 'message_status') AND t.message IS NOT NULL`,
    erased,
  )
}

/** Rows of these conversations by table, whatever they are. */
export async function rowsOf(client: Pick<pg.Pool, 'query'>, conversations: readonly string[]): Promise<Record<string, number>> {
  const counts = ERASED.map(({ table, of }) => `(SELECT count(*)::integer FROM ${table} WHERE ${of} = ANY($1)) AS ${table}`)
  const { rows } = await client.query<Record<string, number>>(`SELECT ${counts.join(', ')}`, [conversations])
  return rows[0] as Record<string, number>
}

/** Rows by table that these conversations' erasures should have taken. */
export async function rowsLeft(
  client: Pick<pg.Pool, 'query'>,
  conversations: readonly string[],
): Promise<Record<string, number>> {
  const counts = ERASED.map(
    ({ table, of, where }) => `(SELECT count(*)::integer FROM ${table} t WHERE t.${of} = ANY($1)
      AND EXISTS (SELECT 1 FROM erasures e WHERE e.conversation_id = t.${of} AND (${where}))) AS ${table}`,
  )
  const { rows } = await client.query<Record<string, number>>(`SELECT ${counts.join(', ')}`, [conversations])
  return rows[0] as Record<string, number>
}

/**
 * Deletes dead letters that hold this text under no conversation's key, and notes which, so that a rebuild does not bring them back.
 * @returns how many there were
 */
async function eraseLetters(pool: pg.Pool, text: string): Promise<number> {
  const { rowCount } = await pool.query(
    `WITH gone AS (DELETE FROM dead_letters WHERE position(convert_to($1, 'UTF8') IN value) > 0 AND topic LIKE 'webhooks/%'
       RETURNING log_partition, log_offset)
     INSERT INTO erased_letters SELECT log_partition, log_offset, now() FROM gone ON CONFLICT DO NOTHING`,
    [text],
  )
  return rowCount ?? 0
}

/** What a receipt asks of the tables. */
export function erasedRows(pool: pg.Pool) {
  return {
    count: (conversations: readonly string[]) => rowsOf(pool, conversations),
    left: (conversations: readonly string[]) => rowsLeft(pool, conversations),
    letters: (text: string) => eraseLetters(pool, text),
    again: (conversations: readonly string[]) =>
      transact(pool, async client => {
        await eraseAgain(client, conversations)
        await tellChanged(client, conversations)
      }),
  }
}
