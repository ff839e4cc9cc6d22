/**
 * Erasing a person: an order to each of their conversations, and a receipt that reads every store back.
 *
 *   order ─▶ conversation.inbox ─▶ actor: no state, deletions on compacted topics ─▶ order ─▶ connector's inbox ─▶ no state
 *                    └──────────────── Postgres: rows of before, by offset and time ────────────────┘
 *
 * Whom it was about the receipt does not say: only a digest under a key of the installation, and ids that nobody can tell them from.
 */
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { RECORD_AT, RECORD_ID } from '../engine/headers.ts'
import { conversationId } from '../domain/ids.ts'
import * as catalog from '../topics/catalog.ts'
import type { ApiChannel } from './webhooks/channel.ts'
import type { Codec, Decoded } from '../topics/codec.ts'
import type { Log, Position } from '../topics/log.ts'
import { partitionOf } from '../topics/murmur2.ts'
import { direct, type Hot } from './hot.ts'
import { Problem } from './problem.ts'
import type { Threads } from './threads.ts'
import type { TaskActor } from './tasks.ts'

const DAY = 24 * 60 * 60_000
const READ_BYTES = 1024 * 1024

/** What a receipt counts besides rows of conversations. */
const BESIDE: readonly string[] = ['contacts', 'letters']
/** A shorter id than that may stand for anything. */
const SHORTEST = 5

/** Where a topic ended for a key when the order was given. */
interface Mark extends Position {
  readonly key: string
}

interface Receipt {
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
  /** How many of the person's were there; null where they are not counted. */
  readonly found: number | null
  /** How many still are; null where the store is not read back. */
  readonly left: number | null
  readonly agesOut: Date | null
  readonly detail: string
}

/** Rows of conversations in the serving store, by table. */
export interface ErasedRows {
  /** All there are. */
  count(conversations: readonly string[]): Promise<Record<string, number>>
  /** Those of before an order that the store knows. */
  left(conversations: readonly string[]): Promise<Record<string, number>>
  /** Deletes what could not be read of webhooks and holds this text; returns how many there were. */
  letters(text: string): Promise<number>
  /** Deletes them once more. */
  again(conversations: readonly string[]): Promise<void>
}

export interface ErasureOptions {
  readonly log: Log
  readonly codec: Codec
  readonly pool: pg.Pool
  readonly erased: ErasedRows
  readonly tenantKey: Buffer | string
  readonly actors?: readonly TaskActor[]
  readonly hot?: Hot | null
  readonly threads?: Threads
  readonly channels?: readonly Pick<ApiChannel, 'name' | 'account'>[]
}

export class Erasures {
  readonly #options: ErasureOptions

  constructor(options: ErasureOptions) {
    this.#options = options
  }

  /**
   * Gives the orders.
   * @param known conversations of the serving store that nobody else takes part in, and those with others
   * @param whom a keyed digest of the person
   * @throws {Problem} `unavailable` when the log does not take them: nothing was done
   */
  async order(request: {
    channel: string
    user: string
    whom: string
    known: readonly string[]
    shared: readonly string[]
    reason: string
    by: string
  }): Promise<{ id: string; conversations: number }> {
    const { pool, erased, log, codec, tenantKey, channels = [] } = this.#options
    const { channel, user, whom, known, shared, reason, by } = request
    // The serving store may not have it yet.
    const account = channels.find(({ name }) => name === channel)?.account ?? null
    const own = account === null ? [] : [conversationId(tenantKey, channel, account, user)]
    const conversations = [...new Set([...known, ...own])]
    const found = await erased.count(conversations)
    const { rows: issues } = await pool.query<{ id: string; conversation: string }>(
      'SELECT id, conversation_id AS conversation FROM issues WHERE conversation_id = ANY($1)',
      [conversations],
    )
    const { rows: contacts } = await pool.query<{ n: number }>(
      'SELECT count(*)::integer AS n FROM venues WHERE contact_phone = $1 AND NOT removed',
      [user],
    )
    const letters = user.length < SHORTEST ? 0 : await erased.letters(user)
    const [id, at] = [randomUUID(), Date.now()]
    const marks = await this.#marks(channel, conversations, issues)
    await pool.query(
      `INSERT INTO person_erasures (id, channel, whom, conversations, shared, reason, requested_by, at, found, marks)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [
        id,
        channel,
        whom,
        conversations,
        shared,
        reason,
        by,
        new Date(at),
        { ...found, contacts: contacts[0]?.n ?? 0, letters },
        JSON.stringify(marks),
      ],
    )
    const topic = catalog.conversationInbox.name
    const records = conversations.map(key => {
      const mine = issues.filter(i => i.conversation === key).map(i => i.id)
      const value = codec.encode(topic, 'ErasePerson', { id, channel, issues: mine, at })
      return { topic, key, value, headers: { [RECORD_ID]: id, [RECORD_AT]: String(at) } }
    })
    try {
      if (records.length > 0) await log.append(records)
    } catch (error) {
      // What is not known to be in the log may be: then it is done, and asked for once more it finds nothing.
      throw new Problem('unavailable', 'the log cannot take it now: try again', { cause: error })
    }
    return { id, conversations: conversations.length }
  }

  /** What has become of an erasure; null where there is none of this id. */
  async receipt(id: string): Promise<(Omit<Receipt, 'found' | 'marks'> & { stores: StoreReceipt[] }) | null> {
    const { pool } = this.#options
    const { rows } = await pool.query<Receipt>(
      `SELECT id, channel, conversations, shared, reason, requested_by AS "requestedBy", at, found, marks, verified_at AS "verifiedAt"
       FROM person_erasures WHERE id = $1`,
      [id],
    )
    if (rows[0] === undefined) return null
    const { found, marks, ...receipt } = rows[0]
    const stores = await this.#stores(rows[0])
    let { verifiedAt } = receipt
    if (verifiedAt === null && stores.every(({ left }) => left === null || left === 0)) {
      verifiedAt = new Date()
      await pool.query('UPDATE person_erasures SET verified_at = $2 WHERE id = $1 AND verified_at IS NULL', [id, verifiedAt])
    }
    return { ...receipt, verifiedAt, stores }
  }

  async #marks(
    channel: string,
    conversations: readonly string[],
    issues: readonly { readonly id: string }[],
  ): Promise<readonly Mark[]> {
    const of = (topic: string, keys: readonly string[]) => keys.map(key => ({ topic, key }))
    const changelogs = this.#actors(channel).map(({ changelog }) => changelog)
    const inboxes = inboxesOf(channel)
    const wanted = [
      ...[...inboxes, catalog.conversationProfiles.name, ...changelogs].flatMap(topic => of(topic, conversations)),
      ...of(
        catalog.issues.name,
        issues.map(i => i.id),
      ),
    ]
    const ends = new Map<string, Promise<readonly { partition: number; high: number }[]>>()
    return Promise.all(
      wanted.map(async ({ topic, key }) => {
        const known = ends.get(topic) ?? this.#options.log.ends(topic)
        ends.set(topic, known)
        const all = await known
        const partition = partitionOf(key, all.length)
        return { topic, key, partition, offset: all.find(e => e.partition === partition)?.high ?? 0 }
      }),
    )
  }

  /** Who keeps a state of a conversation on this channel. */
  #actors(channel: string): readonly TaskActor[] {
    return (this.#options.actors ?? []).filter(({ inbox }) => inboxesOf(channel).includes(inbox))
  }

  async #stores(receipt: Receipt): Promise<StoreReceipt[]> {
    const { channel, conversations, at, found, marks, verifiedAt } = receipt
    const { erased } = this.#options
    // Lanes of the sink write at the same time: what one of them wrote without knowing of the order goes now.
    await erased.again(conversations)
    const orders = await this.#orders(receipt)
    const pending = conversations.filter(key => inboxesOf(channel).some(topic => !orders.has(`${topic} ${key}`))).length
    const left = pending > 0 ? found : await erased.left(conversations)
    const tables = Object.keys(left).filter(table => !BESIDE.includes(table))
    const waits = pending > 0 ? `${pending} of ${conversations.length} conversations wait for their order` : ''
    const stores: StoreReceipt[] = tables.map(table => ({
      store: `postgres: ${table}`,
      found: found[table] ?? 0,
      left: pending > 0 ? Math.max(left[table] ?? 0, pending) : (left[table] ?? 0),
      agesOut: null,
      detail: waits,
    }))
    for (const actor of this.#actors(channel)) {
      stores.push({
        store: `state: ${actor.name}`,
        found: null,
        left: verifiedAt === null ? await this.#states(actor, conversations, marks, orders) : 0,
        agesOut: new Date(at.getTime() + DAY),
        detail: `deleted in ${actor.changelog}, whose older records go when it is compacted; digests of message ids stay for 7 days`,
      })
    }
    for (const { name } of [catalog.conversationProfiles, catalog.issues]) {
      // Once read back it is not read again: what says so is compacted away itself.
      const of = verifiedAt === null ? marks.filter(({ topic }) => topic === name) : []
      const since = await Promise.all(of.map(mark => this.#readSince(mark)))
      stores.push({
        store: name,
        found: null,
        left: since.filter(({ deleted }) => !deleted).length,
        agesOut: new Date(at.getTime() + DAY),
        detail: 'deleted; older records go when the topic is compacted',
      })
    }
    stores.push({
      store: 'cache',
      found: null,
      left: await this.#cached(conversations, at),
      agesOut: null,
      detail: 'who answers in a conversation, and where',
    })
    for (const topic of [...inboxesOf(channel).map(catalog.topicNamed), catalog.alerts, catalog.deadLetters]) {
      stores.push({
        store: topic.name,
        found: null,
        left: null,
        agesOut: new Date(at.getTime() + (topic.retentionMs as number)),
        detail: 'records of before stay until their retention ends',
      })
    }
    stores.push(
      {
        store: 'postgres: dead_letters of webhooks',
        found: found.letters ?? 0,
        left: null,
        agesOut: null,
        detail: 'those that hold the number were deleted when the order was given',
      },
      { store: 'clickhouse', found: null, left: null, agesOut: null, detail: 'has never held texts, names or numbers' },
      {
        store: 'venues',
        found: found.contacts ?? 0,
        left: null,
        agesOut: null,
        detail: 'contacts on file come from the sheet: they go when they are taken out of it, or are forced to nothing',
      },
    )
    return stores
  }

  /** Offsets of the orders that the serving store has, of this erasure or a later one, by inbox and conversation. */
  async #orders({ conversations, marks }: Receipt): Promise<Map<string, number>> {
    const { rows } = await this.#options.pool.query<{ topic: string; key: string; version: string }>(
      'SELECT topic, conversation_id AS key, version FROM erasures WHERE conversation_id = ANY($1)',
      [conversations],
    )
    const since = new Map(marks.map(({ topic, key, offset }) => [`${topic} ${key}`, offset]))
    const orders = rows.map(({ topic, key, version }) => [`${topic} ${key}`, Number(version)] as const)
    return new Map(orders.filter(([of, version]) => version >= (since.get(of) ?? 0)))
  }

  /** How many of these conversations an actor may still have a state of before the order. */
  async #states(
    { inbox, changelog, group }: TaskActor,
    conversations: readonly string[],
    marks: readonly Mark[],
    orders: ReadonlyMap<string, number>,
  ): Promise<number> {
    const positions = await this.#options.log.groupOffsets(group)
    let left = 0
    for (const key of conversations) {
      const mark = marks.find(m => m.topic === changelog && m.key === key)
      const order = orders.get(`${inbox} ${key}`)
      const committed = positions.find(p => p.topic === inbox && p.partition === mark?.partition)?.offset ?? 0
      if (mark === undefined || order === undefined || committed <= order) left++
      // Without any record since, there was nothing to be forgotten.
      else if (!(await this.#readSince(mark)).forgotten) left++
    }
    return left
  }

  /** What a key's records behind a mark say: whether it was deleted, or a state was given up, at any of them. */
  async #readSince({ topic, partition, key, offset }: Mark): Promise<{ deleted: boolean; forgotten: boolean }> {
    const { log, codec } = this.#options
    const { high = 0 } = (await log.ends(topic)).find(e => e.partition === partition) ?? {}
    let [records, deleted, given] = [0, false, false]
    for (let at = offset; at < high; ) {
      const read = await log.read({ topic, partition }, at, { maxBytes: READ_BYTES, wait: 1_000 })
      await codec.prepareKnown(read.records)
      for (const record of read.records.filter(r => r.key === key)) {
        records++
        if (record.value === null) deleted = true
        else if (isStateless(codec.decode(record.value))) given = true
      }
      if (read.next === at) break
      at = read.next
    }
    return { deleted, forgotten: records === 0 || deleted || given }
  }

  async #cached(conversations: readonly string[], at: Date): Promise<number> {
    const hot = this.#options.hot ?? direct
    let left = 0
    for (const key of conversations) {
      const json = await hot.readText('conversation', key, async () => null)
      if (json !== null && Date.parse((JSON.parse(json) as { openedAt: string }).openedAt) < at.getTime()) left++
      const thread = this.#options.threads?.peek(key) ?? null
      if (thread !== null && thread.openedAt < at.getTime()) left++
    }
    return left
  }
}

function inboxesOf(channel: string): string[] {
  const connector = catalog.channelInboxes().get(channel)
  return [catalog.conversationInbox.name, ...(connector === undefined ? [] : [connector.name])]
}

function isStateless({ type, value }: Decoded): boolean {
  return type === 'Envelope' && value.state === null
}
