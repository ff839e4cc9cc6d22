/**
 * Deletes what the tables hold of a person who was erased. The order is on the conversation's inbox and on its channel's: on those
 * topics offsets tell what came before it, elsewhere times do. Applied at the end of every write that concerns such a conversation, so
 * nothing that arrives late, or again, stays. Each table says which of its rows an erasure deletes.
 */
import type pg from 'pg'
import { tellChanged } from './changes.ts'
import { transact } from './positions.ts'
import { digestOf } from './tables/erased.ts'
import { TABLES } from './tables/index.ts'
import { messages } from './tables/messages.ts'

/** Tables with rows that an erasure deletes, and the column that names their conversation. */
const ERASED = TABLES.flatMap(({ name, conversation, erased }) =>
  conversation === undefined || erased === undefined ? [] : [{ table: name, of: conversation, where: erased }],
)

/** How long digests of erased messages are kept: longer than providers deliver again. */
const REMEMBERED = '40 days'

/** Deletes what should not exist of these conversations; of all conversations if null. In the caller's transaction. */
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
  for (const table of ['erased_messages', 'erased_letters'])
    await client.query(`DELETE FROM ${table} WHERE at < now() - interval '${REMEMBERED}'`)
  await client.query(
    `INSERT INTO erased_messages SELECT t.conversation_id, ${digestOf('t.id')}, max(e.logged_at)
     FROM messages t JOIN erasures e ON e.conversation_id = t.conversation_id
     WHERE t.conversation_id = ANY($1) AND (${messages.erased}) GROUP BY 1, 2 ON CONFLICT DO NOTHING`,
    erased,
  )
  for (const { table, of, where } of ERASED) {
    await client.query(
      `DELETE FROM ${table} t USING erasures e WHERE t.${of} = ANY($1) AND e.conversation_id = t.${of} AND (${where})`,
      erased,
    )
  }
  for (const { name, conversation, scrubbed } of TABLES) {
    if (scrubbed === undefined) continue
    await client.query(
      `UPDATE ${name} t SET ${scrubbed.set} FROM erasures e
       WHERE t.${conversation} = ANY($1) AND e.conversation_id = t.${conversation} AND ${scrubbed.where}`,
      erased,
    )
  }
}

/** The number of rows of these conversations, by table. */
export async function rowsOf(client: Pick<pg.Pool, 'query'>, conversations: readonly string[]): Promise<Record<string, number>> {
  const counts = ERASED.map(({ table, of }) => `(SELECT count(*)::integer FROM ${table} WHERE ${of} = ANY($1)) AS ${table}`)
  const { rows } = await client.query<Record<string, number>>(`SELECT ${counts.join(', ')}`, [conversations])
  return rows[0] as Record<string, number>
}

/** The number of rows that these conversations' erasures should have deleted, by table. */
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
 * Deletes dead letters of webhooks that contain this text, and remembers which, so that a rebuild does not bring them back.
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

/** What an erasure's receipt needs to know of the tables. */
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
