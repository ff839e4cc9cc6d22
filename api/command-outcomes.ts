/** Outcomes of commands, read from the profiles of the actors that handled them and copied into the table `commands`. */
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { CommandOutcome } from './command-schemas.ts'

export interface Outcome {
  readonly outcome: CommandOutcome['outcome']
  readonly reason: string
  /** Of a refusal; null in outcomes from before there were codes. */
  readonly code: string | null
}

/** Columns of `commands`; null while the outcome is unknown. */
export interface StoredOutcome {
  readonly outcome: CommandOutcome['outcome'] | null
  readonly reason: string | null
  readonly code: string | null
}

/** Whether an outcome will not change. A parked command may still be handled. */
export function isFinal(stored: StoredOutcome): stored is Outcome {
  return stored.outcome !== null && stored.outcome !== 'parked'
}

const POLL_MS = 40
/** Outcomes that no request waits for are copied this often, of commands up to this age. */
const COPY_MS = 5_000
const MAX_AGE_MS = 60 * 60_000

interface Pending {
  readonly id: string
  readonly target: string
  readonly object: string
}

export class CommandOutcomes {
  readonly #pool: pg.Pool
  readonly #profiles: ReadonlyMap<string, string>
  /** Requests that wait for an outcome, by command. */
  readonly #waiting = new Map<string, Pending & { resolve: (outcome: Outcome) => void }>()
  #polling: Promise<void> | null = null
  readonly #timer: NodeJS.Timeout

  /** @param profiles the table of the profiles of each target */
  constructor(pool: pg.Pool, profiles: ReadonlyMap<string, string>) {
    this.#pool = pool
    this.#profiles = profiles
    this.#timer = setInterval(() => void this.#copyPending().catch(() => {}), COPY_MS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** The outcome in the object's profile; null if it is unknown. */
  async find(target: string, object: string, id: string): Promise<Outcome | null> {
    if (!this.#profiles.has(target)) return null
    return (await this.#read([{ target, object, id }])).get(id) ?? null
  }

  /** Waits for an outcome; null if it is not known in time. */
  async wait(target: string, object: string, id: string, ms: number): Promise<Outcome | null> {
    if (!this.#profiles.has(target)) return null
    const { promise, resolve } = Promise.withResolvers<Outcome | null>()
    const timer = setTimeout(() => resolve(null), ms)
    this.#waiting.set(id, { id, target, object, resolve })
    this.#polling ??= this.#poll()
    return promise.finally(() => {
      clearTimeout(timer)
      this.#waiting.delete(id)
    })
  }

  /** One query for all waiting requests, repeated while there are any. */
  async #poll(): Promise<void> {
    while (this.#waiting.size > 0) {
      await sleep(POLL_MS)
      const found = await this.#read([...this.#waiting.values()]).catch(() => new Map<string, Outcome>())
      for (const [id, outcome] of found) this.#waiting.get(id)?.resolve(outcome)
    }
    this.#polling = null
  }

  async #read(commands: readonly Pending[]): Promise<Map<string, Outcome>> {
    const found = new Map<string, Outcome>()
    for (const [target, of] of Map.groupBy(commands, c => c.target)) {
      const { rows } = await this.#pool.query<{ id: string } & Outcome>(
        `SELECT c.id, c.outcome, c.reason, c.code
         FROM ${this.#profiles.get(target)} t, jsonb_to_recordset(t.commands) AS c (id text, outcome text, reason text, code text)
         WHERE t.id = ANY($1) AND c.id = ANY($2)`,
        [of.map(c => c.object), of.map(c => c.id)],
      )
      for (const { id, ...outcome } of rows) found.set(id, outcome)
    }
    if (found.size > 0) {
      const outcomes = [...found.values()]
      await this.#pool.query(
        `UPDATE commands c SET outcome = t.outcome, reason = t.reason, code = t.code
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[]) AS t (id, outcome, reason, code)
         WHERE c.id = t.id AND (c.outcome IS NULL OR c.outcome = 'parked')`,
        [[...found.keys()], outcomes.map(o => o.outcome), outcomes.map(o => o.reason), outcomes.map(o => o.code)],
      )
    }
    return found
  }

  /** Copies the outcomes of pending commands, whichever process they were given to. */
  async #copyPending(): Promise<void> {
    const { rows } = await this.#pool.query<Pending>(
      `SELECT id, target, object FROM commands WHERE outcome IS NULL AND target = ANY($2)
         AND created_at > now() - $1 * interval '1 ms' LIMIT 1000`,
      [MAX_AGE_MS, [...this.#profiles.keys()]],
    )
    if (rows.length > 0) await this.#read(rows)
  }
}
