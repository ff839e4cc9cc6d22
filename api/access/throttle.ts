/**
 * Slows down guessing: after some failures of an address, or at an account from one address, the next try from there has to wait,
 * twice as long each time. Failures at an account from anywhere only make its answers slow: a stranger locks nobody out. Every try is counted as failed before
 * it is made, in one statement, so that many at once gain nothing; a good one takes its count back. The times are those of the
 * clock, not of the transaction: one that waited for another's is later than it.
 */
import { createHmac, type KeyObject } from 'node:crypto'
import { normalizeIP } from '@fastify/rate-limit'
import type pg from 'pg'

/** Failures that cost nothing. Many people may share an address. */
const FREE = { pair: 5, address: 20, account: 10 }
type Subject = keyof typeof FREE
const LONGEST_S = 600
/** The first delay of an account's answers, and the longest. */
const DELAY_MS = { first: 100, longest: 3_000 }
/** Failures are forgotten after so long. */
const KEPT = "interval '1 day'"
/** SQL of how long after its last failure a subject waits. */
const wait = (free: string) =>
  `make_interval(secs => CASE WHEN f.failures < ${free} THEN 0 ELSE least(${LONGEST_S}, power(2, least(f.failures - ${free}, 20))) END)`

/** Who is tried to be, and from where. */
export interface Tried {
  readonly account: string
  readonly address: string
}

/** What a try has to put up with: it is refused for so many seconds, or made after so many ms. */
export interface Slowed {
  readonly seconds: number
  readonly delayMs: number
}

/** One who has a network of IPv6 has all of its addresses. */
function namesOf({ account, address }: Tried): Record<Subject, string> {
  const network = normalizeIP(address)
  return { account, address: network, pair: `${network} ${account}` }
}

export class Throttle {
  readonly #pool: pg.Pool
  readonly #key: KeyObject

  /** @param key of the digests: neither addresses nor accounts are kept */
  constructor(pool: pg.Pool, key: KeyObject) {
    this.#pool = pool
    this.#key = key
  }

  /** Counts a try. */
  async attempt(tried: Tried): Promise<Slowed> {
    const names = namesOf(tried)
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
    const over = (rows[0]?.failures ?? 0) - FREE.account
    return { seconds: 0, delayMs: over <= 0 ? 0 : Math.min(DELAY_MS.longest, DELAY_MS.first * 2 ** Math.min(over - 1, 20)) }
  }

  /** The last try was a good one. */
  async succeeded(tried: Tried): Promise<void> {
    const { pair, address, account } = namesOf(tried)
    await this.#pool.query(`DELETE FROM login_failures WHERE subject = $1 OR last_at < now() - ${KEPT}`, [
      this.#digest('pair', pair),
    ])
    await this.#pool.query('UPDATE login_failures SET failures = greatest(failures - 1, 0) WHERE subject IN ($1, $2)', [
      this.#digest('address', address),
      this.#digest('account', account),
    ])
  }

  async #count(subject: Subject, name: string): Promise<number> {
    const values = [this.#digest(subject, name), FREE[subject]]
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
