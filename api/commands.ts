/**
 * Writes. Each is a command on an actor's inbox; the actor says in its profile what has become of it, by its id:
 *
 *   request ─▶ commands (whose, for what) ─▶ inbox ─▶ actor ─▶ profile ─▶ Postgres ─▶ 200, or 409 where it was refused
 *                                                                 └ not within the time: 202, and a place to look
 *
 * A profile tells the newest outcomes only: each is written into `commands` before it is forgotten.
 */
import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { COMMAND, RECORD_AT, RECORD_ID } from '../engine/headers.ts'
import type { RecordInputs, RecordName } from '../schemas/types.ts'
import type { Topic } from '../topics/catalog.ts'
import type { Codec } from '../topics/codec.ts'
import { type Log, LogError } from '../topics/log.ts'
import { nameOf, type Principal } from './access/principal.ts'
import { Problem } from './problem.ts'
import { oneOf, Text, Time } from './schemas.ts'

export const WriteHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,200}$',
      description: 'the same key and request give the same outcome, and are done once; kept for 30 days',
    }),
  ),
  prefer: Type.Optional(
    Type.String({ maxLength: 200, description: 'wait=<seconds>: how long to wait for the outcome, 0 to 10' }),
  ),
})

export const Outcome = Type.Object({
  id: Text,
  action: Text,
  outcome: oneOf('pending', 'handled', 'refused', 'skipped', 'parked'),
  reason: Text,
  at: Time,
})
type Outcome = Static<typeof Outcome>

/** What a write answers. */
export const written = { 200: Outcome, 202: Outcome }

/** Kinds of actors that tell outcomes, and the table with their profiles. */
const TABLES = { conversation: 'conversations', venue: 'venues' } as const
/** What has no profile tells no outcome. */
export type Target = keyof typeof TABLES | 'dead_letter' | 'task'
type Teller = keyof typeof TABLES

export interface Command<R extends RecordName> {
  readonly target: Target
  /** Id of what it is done to. */
  readonly object: string
  /** What the audit names instead. */
  readonly audited?: string
  readonly topic: Topic<R>
  readonly key: string
  readonly type: R
  readonly record: (id: string, at: number) => RecordInputs[R]
}

const WAIT_MS = 2_000
const POLL_MS = 40
const KEPT = '30 days'
const SWEEP_MS = 6 * 60 * 60_000
/** Outcomes that nobody waits for are noted this often, of commands no older than that. */
const NOTE_MS = 5_000
const PENDING_MS = 60 * 60_000

interface Told {
  readonly outcome: Outcome['outcome']
  readonly reason: string
}

export class Commands {
  readonly #log: Log
  readonly #codec: Codec
  readonly #pool: pg.Pool
  /** Who waits for an outcome, by command. */
  readonly #waiting = new Map<string, { target: Teller; object: string; told: (outcome: Told) => void }>()
  #polling: Promise<void> | null = null
  readonly #timers: readonly NodeJS.Timeout[]

  constructor({ log, codec, pool }: { log: Log; codec: Codec; pool: pg.Pool }) {
    this.#log = log
    this.#codec = codec
    this.#pool = pool
    const sweep = () => pool.query(`DELETE FROM commands WHERE created_at < now() - interval '${KEPT}'`).catch(() => {})
    const note = () => this.#note().catch(() => {})
    this.#timers = [setInterval(sweep, SWEEP_MS).unref(), setInterval(note, NOTE_MS).unref()]
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer)
  }

  /** Gives the command, and answers with what has become of it. */
  async give<R extends RecordName>(request: FastifyRequest, reply: FastifyReply, command: Command<R>): Promise<FastifyReply> {
    const { id, at, told: known } = await this.#enter(request, command)
    Object.assign(request.audited, { object: command.audited ?? command.object, command: id })
    const action = command.type
    const { target, object } = command
    const former = known ?? (!tells(target) ? null : await this.#told(target, object, id))
    if (former === null) await this.#append(id, at, command)
    const wait = waitOf(request)
    const told = former ?? (!tells(target) || wait === 0 ? null : await this.#await(target, object, id, wait))
    return answer(reply, { id, action, at: new Date(at), ...(told ?? PENDING) })
  }

  /**
   * Does what no actor tells the outcome of, and gives its id: once under an Idempotency-Key. Without one the serving store is not
   * asked. `run` may be called again under the same id where it has failed, or nobody knows whether it has.
   */
  async once(
    request: FastifyRequest,
    { action, target, object }: { action: RecordName; target: Target; object: string },
    run: (id: string) => Promise<void>,
  ): Promise<string> {
    if (request.headers['idempotency-key'] === undefined) {
      const id = randomUUID()
      await run(id)
      return id
    }
    const { id, told } = await this.#enter(request, { type: action, target, object })
    if (told !== null) return id
    await run(id)
    await this.#pool.query(`UPDATE commands SET outcome = 'handled', reason = '' WHERE id = $1`, [id])
    return id
  }

  /** What has become of somebody's command; null where they gave none of this id. */
  async outcomeOf(principal: Principal, id: string): Promise<Outcome | null> {
    const { rows } = await this.#pool.query<{ action: string; target: Target; object: string; at: Date } & Known>(
      'SELECT action, target, object, created_at AS at, outcome, reason FROM commands WHERE id = $1 AND principal = $2',
      [id, nameOf(principal)],
    )
    if (rows[0] === undefined) return null
    const { action, target, object, at } = rows[0]
    const told = toldOf(rows[0]) ?? (!tells(target) ? null : await this.#told(target, object, id))
    const parked: Told | null = rows[0].outcome === null ? null : { outcome: rows[0].outcome, reason: rows[0].reason ?? '' }
    return { id, action, at, ...(told ?? parked ?? PENDING) }
  }

  /** @throws {Problem} when the key was used for another request */
  async #enter(
    request: FastifyRequest,
    command: Pick<Command<RecordName>, 'type' | 'target' | 'object'>,
  ): Promise<{ id: string; at: number; told: Told | null }> {
    const { principal, method, url, body } = request
    const key = (request.headers['idempotency-key'] as string | undefined) ?? null
    const by = nameOf(principal)
    const wanted = key === null ? randomUUID() : createHash('sha256').update(`${by}\n${key}`).digest('base64url')
    const hash = createHash('sha256')
      .update(JSON.stringify([method, url, body ?? null]))
      .digest()
    const { rows } = await this.#pool.query<{ id: string; request_hash: Buffer; at: Date } & Known>(
      `INSERT INTO commands AS c (id, principal, idempotency_key, request_hash, action, target, object)
       VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (principal, idempotency_key) DO UPDATE SET action = c.action RETURNING id, request_hash, created_at AS at, outcome, reason`,
      [wanted, by, key, hash, command.type, command.target, command.object],
    )
    const entered = rows[0] as (typeof rows)[0]
    if (!entered.request_hash.equals(hash))
      throw new Problem('idempotency_key_reused', 'this Idempotency-Key was sent with another request: take a new one')
    return { id: entered.id, at: entered.at.getTime(), told: toldOf(entered) }
  }

  async #append<R extends RecordName>(id: string, at: number, { topic, key, type, record }: Command<R>): Promise<void> {
    const value = this.#codec.encode(topic.name, type, record(id, at))
    const headers = { [RECORD_ID]: id, [RECORD_AT]: String(at), [COMMAND]: id }
    try {
      await this.#log.append([{ topic: topic.name, key, value, headers }])
    } catch (error) {
      if (error instanceof LogError && error.code === 'too_large') throw new Problem('payload_too_large', 'the text is too large')
      throw new Problem('unavailable', 'the log cannot take it now: try again with the same Idempotency-Key', { cause: error })
    }
  }

  async #told(target: Teller, object: string, id: string): Promise<Told | null> {
    const found = await this.#lookUp([{ target, object, id }])
    return found.get(id) ?? null
  }

  #await(target: Teller, object: string, id: string, ms: number): Promise<Told | null> {
    const { promise, resolve } = Promise.withResolvers<Told | null>()
    const timer = setTimeout(() => resolve(null), ms)
    this.#waiting.set(id, { target, object, told: resolve })
    this.#polling ??= this.#poll()
    return promise.finally(() => {
      clearTimeout(timer)
      this.#waiting.delete(id)
    })
  }

  /** One query for all who wait, now and then, as long as somebody does. */
  async #poll(): Promise<void> {
    while (this.#waiting.size > 0) {
      await sleep(POLL_MS)
      const asked = [...this.#waiting].map(([id, { target, object }]) => ({ id, target, object }))
      const found = await this.#lookUp(asked).catch(() => new Map<string, Told>())
      for (const [id, told] of found) this.#waiting.get(id)?.told(told)
    }
    this.#polling = null
  }

  async #lookUp(asked: readonly { id: string; target: Teller; object: string }[]): Promise<Map<string, Told>> {
    const found = new Map<string, Told>()
    for (const [target, of] of Map.groupBy(asked, a => a.target)) {
      const { rows } = await this.#pool.query<{ id: string } & Told>(
        `SELECT c.id, c.outcome, c.reason FROM ${TABLES[target]} t, jsonb_to_recordset(t.commands) AS c (id text, outcome text, reason text)
         WHERE t.id = ANY($1) AND c.id = ANY($2)`,
        [of.map(a => a.object), of.map(a => a.id)],
      )
      for (const { id, outcome, reason } of rows) found.set(id, { outcome, reason })
    }
    if (found.size > 0) {
      const told = [...found.values()]
      await this.#pool.query(
        `UPDATE commands c SET outcome = t.outcome, reason = t.reason FROM UNNEST($1::text[], $2::text[], $3::text[]) AS t (id, outcome, reason)
         WHERE c.id = t.id AND (c.outcome IS NULL OR c.outcome = 'parked')`,
        [[...found.keys()], told.map(t => t.outcome), told.map(t => t.reason)],
      )
    }
    return found
  }

  /** Notes the outcomes of commands that are pending, whoever gave them. */
  async #note(): Promise<void> {
    const { rows } = await this.#pool.query<{ id: string; target: Teller; object: string }>(
      `SELECT id, target, object FROM commands WHERE outcome IS NULL AND target = ANY($2)
         AND created_at > now() - $1 * interval '1 ms' LIMIT 1000`,
      [PENDING_MS, Object.keys(TABLES)],
    )
    if (rows.length > 0) await this.#lookUp(rows)
  }
}

function tells(target: Target): target is Teller {
  return Object.hasOwn(TABLES, target)
}

/** Columns of `commands`; null while the outcome is not known. One that is parked may still be handled. */
interface Known {
  readonly outcome: Outcome['outcome'] | null
  readonly reason: string | null
}

function toldOf({ outcome, reason }: Known): Told | null {
  return outcome === null || outcome === 'parked' ? null : { outcome, reason: reason ?? '' }
}

const PENDING: Told = { outcome: 'pending', reason: '' }

function waitOf({ headers }: FastifyRequest): number {
  const wanted = /(?:^|[,; ])wait=(\d{1,3})(?:$|[,; ])/.exec(String(headers.prefer ?? ''))?.[1]
  return wanted === undefined ? WAIT_MS : Math.min(Number(wanted), 10) * 1000
}

function answer(reply: FastifyReply, outcome: Outcome): FastifyReply {
  switch (outcome.outcome) {
    case 'pending':
      return reply
        .code(202)
        .header('location', `/api/v1/commands/${encodeURIComponent(outcome.id)}`)
        .send(outcome)
    case 'handled':
      return reply.send(outcome)
    case 'refused':
      throw new Problem('command_refused', outcome.reason)
    default:
      throw new Problem(
        'command_failed',
        `the command was ${outcome.outcome}: it is in quarantine, and support of this service is told`,
      )
  }
}
