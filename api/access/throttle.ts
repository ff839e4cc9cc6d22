/**
 * Slows down password guessing. After some failures from an address, or at an account from one address, the next attempt from there
 * must wait, twice as long each time. Failures at an account from anywhere only delay its responses, so that nobody can lock out
 * somebody else. Each attempt is counted as a failure before the password is checked, in a single statement, so that concurrent
 * attempts gain nothing; a successful one takes its count back. Times are of the clock, not of the transaction, which may have
 * waited for another one.
 */
import { createHmac, type KeyObject } from 'node:crypto'
import { normalizeIP } from '@fastify/rate-limit'
import type pg from 'pg'

/** Failures without consequences. Many people may share an address. */
const FREE_FAILURES = { pair: 5, address: 20, account: 10 }
type Subject = keyof typeof FREE_FAILURES
const MAX_WAIT_S = 600
/** The first delay of an account's responses, and the longest. */
const DELAY_MS = { first: 100, longest: 3_000 }
/** Failures are forgotten after this time. */
const KEPT = "interval '1 day'"
/** SQL of how long a subject must wait after its last failure. */
const wait = (free: string) =>
  `make_interval(secs => CASE WHEN f.failures < ${free} THEN 0 ELSE least(${MAX_WAIT_S}, power(2, least(f.failures - ${free}, 20))) END)`

/** A login attempt: at which account, from which address. */
export interface LoginAttempt {
  readonly account: string
  readonly address: string
}

/** The consequence of earlier failures. */
export interface Slowdown {
  /** The attempt is refused for this long; 0 if it is not. */
  readonly seconds: number
  /** It is delayed by this. */
  readonly delayMs: number
}

/** Whoever has an IPv6 network has all of its addresses. */
function namesOf({ account, address }: LoginAttempt): Record<Subject, string> {
  const network = normalizeIP(address)
  return { account, address: network, pair: `${network} ${account}` }
}

export class Throttle {
  readonly #pool: pg.Pool
  readonly #key: KeyObject

  /** @param key of the digests: addresses and accounts are not stored */
  constructor(pool: pg.Pool, key: KeyObject) {
    this.#pool = pool
    this.#key = key
  }

  /** Counts an attempt as a failure. */
  async attempt(attempt: LoginAttempt): Promise<Slowdown> {
    const names = namesOf(attempt)
    for (const subject of ['address', 'pair'] as const) {
      const seconds = await this.#count(subject, names[subject])
      if (seconds > 0) return { seconds, delayMs: 0 }
    }
    const { rows } = await this.#pool.query<{ failures: number }>(
      `INSERT INTO login_failures AS f (subject, failures, last_at) VALUES ($1, 1, clock_timestamp())
       ON CONFLICT (subject) DO UPDATE SET last_at = clock_timestamp(),
         failures = CASE WHEN f.last_at < clock_timestamp() - ${KEPT} THEN 1 ELSE least(f.failures + 1, 1000000) END
       RETURNING failures`,
      [this.#digest('account', names.account)],
    )
    const over = (rows[0]?.failures ?? 0) - FREE_FAILURES.account
    return { seconds: 0, delayMs: over <= 0 ? 0 : Math.min(DELAY_MS.longest, DELAY_MS.first * 2 ** Math.min(over - 1, 20)) }
  }

  /** Takes the count of a successful attempt back. */
  async succeeded(attempt: LoginAttempt): Promise<void> {
    const { pair, address, account } = namesOf(attempt)
    await this.#pool.query(`DELETE FROM login_failures WHERE subject = $1 OR last_at < now() - ${KEPT}`, [
      this.#digest('pair', pair),
    ])
    await this.#pool.query('UPDATE login_failures SET failures = greatest(failures - 1, 0) WHERE subject IN ($1, $2)', [
      this.#digest('address', address),
      this.#digest('account', account),
    ])
  }

  async #count(subject: Subject, name: string): Promise<number> {
    const values = [this.#digest(subject, name), FREE_FAILURES[subject]]
    const counted = await this.#pool.query(
      `INSERT INTO login_failures AS f (subject, failures, last_at) VALUES ($1, 1, clock_timestamp())
       ON CONFLICT (subject) DO UPDATE
         SET failures = CASE WHEN f.last_at < clock_timestamp() - ${KEPT} THEN 1 ELSE f.failures + 1 END, last_at = clock_timestamp()
         WHERE f.last_at + ${wait('$2::integer')} <= clock_timestamp()`,
      values,
    )
    if (counted.rowCount === 1) return 0
    const { rows } = await this.#pool.query<{ seconds: number }>(
      `SELECT ceil(extract(epoch FROM f.last_at + ${wait('$2::integer')} - clock_timestamp()))::integer AS seconds
       FROM login_failures f WHERE subject = $1`,
      values,
    )
    return Math.max(1, rows[0]?.seconds ?? 1)
  }

  #digest(subject: Subject, name: string): string {
    return createHmac('sha256', this.#key).update(`${subject} ${name}`).digest('base64url')
  }
}
