/**
 * Writes. Each one is a command on an actor's inbox; the actor reports its outcome in its profile, by the command's id:
 *
 *   request ─▶ commands (whose, on what) ─▶ inbox ─▶ actor ─▶ profile ─▶ Postgres ─▶ 200, or 409 if it was refused
 *                                                               └ not within the wait: 202, and where to look
 *
 * A profile holds only the newest outcomes, so each is copied into the table `commands` before the profile drops it.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { COMMAND, RECORD_AT, RECORD_ID } from '../engine/headers.ts'
import type { RecordInputs, RecordName } from '../schemas/types.ts'
import type { Topic } from '../topics/catalog.ts'
import type { Codec } from '../topics/codec.ts'
import { type Log, LogError } from '../topics/log.ts'
import { type Principal, principalKey } from './access/principal.ts'
import { CommandOutcomes, isFinal, type Outcome, type StoredOutcome } from './command-outcomes.ts'
import { type CommandOutcome, PENDING, sendOutcome, waitOf } from './command-schemas.ts'
import { Problem } from './problem.ts'

/** A kind of object that commands are given to. Declared beside the routes that give them. */
export interface CommandTarget {
  /** Stored with each command. */
  readonly name: string
  readonly inbox: Topic
  /** The table of its profiles, whose column `commands` holds outcomes. */
  readonly profiles: string
}

export interface Command<R extends RecordName> {
  /** The target's name; of one without profiles no outcome is ever known. */
  readonly target: string
  /** Id of the object. */
  readonly object: string
  /** What the audit trail names as the object instead. */
  readonly audited?: string
  readonly topic: Topic<R>
  readonly key: string
  readonly type: R
  readonly record: (id: string, at: number) => RecordInputs[R]
}

const RETENTION = '30 days'
const SWEEP_MS = 6 * 60 * 60_000

export class Commands {
  readonly #log: Log
  readonly #codec: Codec
  readonly #pool: pg.Pool
  readonly #targets: readonly CommandTarget[]
  readonly #outcomes: CommandOutcomes
  readonly #sweep: NodeJS.Timeout

  constructor({ log, codec, pool, targets }: { log: Log; codec: Codec; pool: pg.Pool; targets: readonly CommandTarget[] }) {
    this.#log = log
    this.#codec = codec
    this.#pool = pool
    this.#targets = targets
    this.#outcomes = new CommandOutcomes(pool, new Map(targets.map(({ name, profiles }) => [name, profiles])))
    const sweep = () => pool.query(`DELETE FROM commands WHERE created_at < now() - interval '${RETENTION}'`).catch(() => {})
    this.#sweep = setInterval(sweep, SWEEP_MS).unref()
  }

  close(): void {
    clearInterval(this.#sweep)
    this.#outcomes.close()
  }

  /** The target whose actor has this inbox. */
  targetOf(inbox: string): CommandTarget | undefined {
    return this.#targets.find(target => target.inbox.name === inbox)
  }

  /** Submits the command and responds with its outcome. */
  async submit<R extends RecordName>(request: FastifyRequest, reply: FastifyReply, command: Command<R>): Promise<FastifyReply> {
    const { id, at, outcome: stored } = await this.#register(request, command)
    Object.assign(request.audited, { object: command.audited ?? command.object, command: id })
    const { target, object, type: action } = command
    const earlier = stored ?? (await this.#outcomes.find(target, object, id))
    if (earlier === null) await this.#append(id, at, command)
    const waitMs = waitOf(request)
    const outcome = earlier ?? (waitMs === 0 ? null : await this.#outcomes.wait(target, object, id, waitMs))
    return sendOutcome(reply, { id, action, at: new Date(at), ...(outcome ?? PENDING) })
  }

  /**
   * Runs an operation whose outcome no actor reports, and returns its id. With an Idempotency-Key it runs once; without one, Postgres is
   * not needed. `run` may be called again with the same id if it failed, or if that is unknown.
   */
  async once(
    request: FastifyRequest,
    { action, target, object }: { action: RecordName; target: string; object: string },
    run: (id: string) => Promise<void>,
  ): Promise<string> {
    if (request.headers['idempotency-key'] === undefined) {
      const id = randomUUID()
      await run(id)
      return id
    }
    const { id, outcome } = await this.#register(request, { type: action, target, object })
    if (outcome !== null) return id
    await run(id)
    await this.#pool.query(`UPDATE commands SET outcome = 'handled', reason = '' WHERE id = $1`, [id])
    return id
  }

  /** The outcome of one of the principal's commands; null if there is none with this id. */
  async outcomeOf(principal: Principal, id: string): Promise<CommandOutcome | null> {
    const { rows } = await this.#pool.query<{ action: string; target: string; object: string; at: Date } & StoredOutcome>(
      'SELECT action, target, object, created_at AS at, outcome, reason, code FROM commands WHERE id = $1 AND principal = $2',
      [id, principalKey(principal)],
    )
    if (rows[0] === undefined) return null
    const { action, target, object, at, ...stored } = rows[0]
    const outcome = isFinal(stored) ? stored : ((await this.#outcomes.find(target, object, id)) ?? stored)
    if (outcome.outcome === null) return { id, action, at, ...PENDING }
    return { id, action, at, outcome: outcome.outcome, reason: outcome.reason ?? '', code: outcome.code }
  }

  /** @throws {Problem} `idempotency_key_reused` if the key was used for another request */
  async #register(
    request: FastifyRequest,
    command: Pick<Command<RecordName>, 'type' | 'target' | 'object'>,
  ): Promise<{ id: string; at: number; outcome: Outcome | null }> {
    const { principal, method, url, body } = request
    const key = (request.headers['idempotency-key'] as string | undefined) ?? null
    const by = principalKey(principal)
    const newId = key === null ? randomUUID() : createHash('sha256').update(`${by}\n${key}`).digest('base64url')
    const hash = createHash('sha256')
      .update(JSON.stringify([method, url, body ?? null]))
      .digest()
    const { rows } = await this.#pool.query<{ id: string; request_hash: Buffer; at: Date } & StoredOutcome>(
      `INSERT INTO commands AS c (id, principal, idempotency_key, request_hash, action, target, object)
       VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (principal, idempotency_key) DO UPDATE SET action = c.action RETURNING id, request_hash, created_at AS at, outcome, reason, code`,
      [newId, by, key, hash, command.type, command.target, command.object],
    )
    const { id, request_hash, at, ...stored } = rows[0] as (typeof rows)[0]
    if (!request_hash.equals(hash))
      throw new Problem('idempotency_key_reused', 'this Idempotency-Key was used for another request: choose a new one')
    return { id, at: at.getTime(), outcome: isFinal(stored) ? stored : null }
  }

  async #append<R extends RecordName>(id: string, at: number, { topic, key, type, record }: Command<R>): Promise<void> {
    const value = this.#codec.encode(topic.name, type, record(id, at))
    const headers = { [RECORD_ID]: id, [RECORD_AT]: String(at), [COMMAND]: id }
    try {
      await this.#log.append([{ topic: topic.name, key, value, headers }])
    } catch (error) {
      if (error instanceof LogError && error.code === 'too_large') throw new Problem('payload_too_large', 'the text is too large')
      throw new Problem('unavailable', 'cannot append to the log: try again with the same Idempotency-Key', { cause: error })
    }
  }
}
