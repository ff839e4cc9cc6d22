/** What each store holds of an erased person: reads every store back, and says when the rest ages out. */
import { DAY_MS } from '../../domain/time.ts'
import type pg from 'pg'
import * as catalog from '../../topics/catalog.ts'
import { noCache, type ReadThrough } from '../../cache/read-through.ts'
import type { ConversationCache } from '../conversation-cache.ts'
import type { TaskActor } from '../tasks.ts'
import { type LogReadBack, type Mark, inboxesOf } from './log-read-back.ts'

/** Counts of a receipt that are not rows of conversations. */
const OTHER_COUNTS: readonly string[] = ['contacts', 'letters']

export interface Receipt {
  readonly id: string
  readonly channel: string
  readonly conversations: string[]
  readonly shared: string[]
  readonly reason: string
  readonly requestedBy: string
  readonly at: Date
  readonly found: Readonly<Record<string, number>>
  readonly marks: readonly Mark[]
  readonly verifiedAt: Date | null
}

export interface StoreReceipt {
  readonly store: string
  /** Entries before the erasure; null if not counted. */
  readonly found: number | null
  /** Entries left; null if the store is not read back. */
  readonly left: number | null
  readonly agesOut: Date | null
  readonly detail: string
}

/** Rows of conversations in Postgres, by table. */
export interface ErasedRows {
  /** All rows. */
  count(conversations: readonly string[]): Promise<Record<string, number>>
  /** Rows from before an order that Postgres has applied. */
  left(conversations: readonly string[]): Promise<Record<string, number>>
  /** Deletes unreadable parts of webhooks that contain this text; returns how many there were. */
  letters(text: string): Promise<number>
  /** Deletes the rows again that an order has deleted. */
  again(conversations: readonly string[]): Promise<void>
}

export interface StoreOptions {
  readonly pool: pg.Pool
  readonly erased: ErasedRows
  readonly hot?: ReadThrough | null
  readonly conversations?: ConversationCache
}

export async function readStores(receipt: Receipt, options: StoreOptions, log: LogReadBack): Promise<StoreReceipt[]> {
  const { channel, conversations, at, found, marks, verifiedAt } = receipt
  const { erased } = options
  const inboxes = inboxesOf(channel)
  // Delete once more what sink writers wrote concurrently, without knowing of the order.
  await erased.again(conversations)
  const orders = await appliedOrders(options.pool, receipt)
  const pending = conversations.filter(key => inboxes.some(topic => !orders.has(`${topic} ${key}`))).length
  const left = pending > 0 ? found : await erased.left(conversations)
  const tables = Object.keys(left).filter(table => !OTHER_COUNTS.includes(table))
  const detail = pending > 0 ? `${pending} of ${conversations.length} conversations have not been erased yet` : ''
  const ofDayAfter = new Date(at.getTime() + DAY_MS)
  return [
    ...tables.map(table => ({
      store: `postgres: ${table}`,
      found: found[table] ?? 0,
      left: pending > 0 ? Math.max(left[table] ?? 0, pending) : (left[table] ?? 0),
      agesOut: null,
      detail,
    })),
    ...(await stateReceipts(log.actorsOf(channel))),
    ...(await topicReceipts([catalog.conversationProfiles, catalog.issues])),
    {
      store: 'cache',
      found: null,
      left: await countCached(options, conversations, at),
      agesOut: null,
      detail: 'who replies in a conversation, and at which venue',
    },
    ...[...inboxes.map(catalog.topicNamed), catalog.alerts, catalog.deadLetters].map(topic => ({
      store: topic.name,
      found: null,
      left: null,
      agesOut: new Date(at.getTime() + (topic.retentionMs as number)),
      detail: 'earlier records are kept until their retention ends',
    })),
    {
      store: 'postgres: dead_letters of webhooks',
      found: found.letters ?? 0,
      left: null,
      agesOut: null,
      detail: 'those that contained the id were deleted when the erasure was ordered',
    },
    {
      store: 'clickhouse',
      found: null,
      left: null,
      agesOut: null,
      detail: 'never holds texts, names or numbers',
    },
    {
      store: 'venues',
      found: found.contacts ?? 0,
      left: null,
      agesOut: null,
      detail: 'contacts on file come from the sheet: remove them there, or override them',
    },
  ]

  async function stateReceipts(actors: readonly TaskActor[]): Promise<StoreReceipt[]> {
    const receipts: StoreReceipt[] = []
    for (const actor of actors) {
      receipts.push({
        store: `state: ${actor.name}`,
        found: null,
        left: verifiedAt === null ? await log.countStates(actor, conversations, marks, orders) : 0,
        agesOut: ofDayAfter,
        detail: `deleted in ${actor.changelog}, whose older records are removed by compaction; digests of message ids are kept for 7 days`,
      })
    }
    return receipts
  }

  async function topicReceipts(topics: readonly catalog.Topic[]): Promise<StoreReceipt[]> {
    const receipts: StoreReceipt[] = []
    for (const { name } of topics) {
      // Not read again once verified: the deletions themselves are compacted away.
      const of = verifiedAt === null ? marks.filter(({ topic }) => topic === name) : []
      const since = await Promise.all(of.map(mark => log.readSince(mark)))
      receipts.push({
        store: name,
        found: null,
        left: since.filter(({ deleted }) => !deleted).length,
        agesOut: ofDayAfter,
        detail: 'deleted; older records are removed by compaction',
      })
    }
    return receipts
  }
}

/** Offsets of the orders that Postgres has applied, of this erasure or a later one, by inbox and conversation. */
async function appliedOrders(pool: pg.Pool, { conversations, marks }: Receipt): Promise<Map<string, number>> {
  const { rows } = await pool.query<{ topic: string; key: string; version: string }>(
    'SELECT topic, conversation_id AS key, version FROM erasures WHERE conversation_id = ANY($1)',
    [conversations],
  )
  const since = new Map(marks.map(({ topic, key, offset }) => [`${topic} ${key}`, offset]))
  const orders = rows.map(({ topic, key, version }) => [`${topic} ${key}`, Number(version)] as const)
  return new Map(orders.filter(([of, version]) => version >= (since.get(of) ?? 0)))
}

/** Cached conversations that were opened before the erasure. */
async function countCached(
  { hot: cache, conversations: cached }: StoreOptions,
  conversations: readonly string[],
  at: Date,
): Promise<number> {
  const hot = cache ?? noCache
  let left = 0
  for (const key of conversations) {
    const json = await hot.readText('conversation', key, async () => null)
    if (json !== null && Date.parse((JSON.parse(json) as { openedAt: string }).openedAt) < at.getTime()) left++
    const conversation = cached?.peek(key) ?? null
    if (conversation !== null && conversation.openedAt < at.getTime()) left++
  }
  return left
}
