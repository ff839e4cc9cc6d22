/**
 * Erases a person: an order to each of their conversations, and a receipt that reads every store back.
 *
 *   order ─▶ conversation.inbox ─▶ actor: state cleared, tombstones on compacted topics ─▶ order ─▶ connector's inbox ─▶ state cleared
 *                    └──────────────── Postgres: earlier rows deleted, by offset and time ────────────────┘
 *
 * The receipt does not identify the person: it holds a digest under a key of the installation, and ids that cannot be reversed.
 */
import { phonesOf } from '../../domain/phone.ts'
import { randomUUID } from 'node:crypto'
import { RECORD_AT, RECORD_ID } from '../../engine/headers.ts'
import { conversationId } from '../../domain/ids.ts'
import { conversationInbox } from '../../topics/catalog.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Log } from '../../topics/log.ts'
import { Problem } from '../problem.ts'
import type { TaskActor } from '../tasks.ts'
import { LogReadBack } from './log-read-back.ts'
import { type Receipt, readStores, type StoreOptions, type StoreReceipt } from './receipts.ts'
import type { ApiChannel } from '../webhooks/channel.ts'

/** A shorter id may occur in unrelated dead letters by chance. */
const MIN_ID_CHARS = 5

export interface ErasureOptions extends StoreOptions {
  readonly log: Log
  readonly codec: Codec
  readonly tenantKey: Buffer | string
  readonly actors?: readonly TaskActor[]
  readonly channels?: readonly Pick<ApiChannel, 'name' | 'account'>[]
}

export interface ErasureRequest {
  readonly channel: string
  readonly user: string
  /** A keyed digest of the person. */
  readonly whom: string
  /** Conversations in Postgres without other participants, and those with others. */
  readonly known: readonly string[]
  readonly shared: readonly string[]
  readonly reason: string
  readonly by: string
}

export class Erasures {
  readonly #options: ErasureOptions
  readonly #readBack: LogReadBack

  constructor(options: ErasureOptions) {
    this.#options = options
    this.#readBack = new LogReadBack(options)
  }

  /** Appends the orders. @throws {Problem} `unavailable` if the append fails */
  async order({
    channel,
    user,
    whom,
    known,
    shared,
    reason,
    by,
  }: ErasureRequest): Promise<{ id: string; conversations: number }> {
    const { pool, erased, log, codec } = this.#options
    const conversations = [...new Set([...known, ...this.#unprojected(channel, user)])]
    const found = await erased.count(conversations)
    const { rows: issues } = await pool.query<{ id: string; conversation: string }>(
      'SELECT id, conversation_id AS conversation FROM issues WHERE conversation_id = ANY($1)',
      [conversations],
    )
    const { rows: contacts } = await pool.query<{ n: number }>(
      'SELECT count(*)::integer AS n FROM venues WHERE contact_phone = ANY($1) AND NOT removed',
      [phonesOf(user)],
    )
    const letters = user.length < MIN_ID_CHARS ? 0 : await erased.letters(user)
    const [id, at] = [randomUUID(), Date.now()]
    const marks = await this.#readBack.marks(channel, conversations, issues)
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
    const records = conversations.map(key => {
      const own = issues.filter(i => i.conversation === key).map(i => i.id)
      const value = codec.encode(conversationInbox.name, 'ErasePerson', { id, channel, issues: own, at })
      return { topic: conversationInbox.name, key, value, headers: { [RECORD_ID]: id, [RECORD_AT]: String(at) } }
    })
    try {
      if (records.length > 0) await log.append(records)
    } catch (error) {
      // The append may have succeeded nevertheless; then a repeated request finds nothing left to erase.
      throw new Problem('unavailable', 'cannot append to the log: try again', { cause: error })
    }
    return { id, conversations: conversations.length }
  }

  /** The receipt of an erasure; null if there is none with this id. */
  async receipt(id: string): Promise<(Omit<Receipt, 'found' | 'marks'> & { stores: StoreReceipt[] }) | null> {
    const { pool } = this.#options
    const { rows } = await pool.query<Receipt>(
      `SELECT id, channel, conversations, shared, reason, requested_by AS "requestedBy", at, found, marks, verified_at AS "verifiedAt"
       FROM person_erasures WHERE id = $1`,
      [id],
    )
    if (rows[0] === undefined) return null
    const { found, marks, ...receipt } = rows[0]
    const stores = await readStores(rows[0], this.#options, this.#readBack)
    let { verifiedAt } = receipt
    if (verifiedAt === null && stores.every(({ left }) => left === null || left === 0)) {
      verifiedAt = new Date()
      await pool.query('UPDATE person_erasures SET verified_at = $2 WHERE id = $1 AND verified_at IS NULL', [id, verifiedAt])
    }
    return { ...receipt, verifiedAt, stores }
  }

  /** The person's own conversation, which Postgres may not have yet. */
  #unprojected(channel: string, user: string): string[] {
    const { tenantKey, channels = [] } = this.#options
    const account = channels.find(({ name }) => name === channel)?.account ?? null
    return account === null ? [] : [conversationId(tenantKey, channel, account, user)]
  }
}
