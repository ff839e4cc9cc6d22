/**
 * When which account is polled: one schedule for a credential and its tokens. A poll waits here for its turn and its tokens; nothing is
 * refused. It lives in memory: after a restart, open polls wait again, each with the time of its newest reading.
 *
 *   asked now ─ critical ─ never read ─ just changed ─ normal ─ quiet      in each, the oldest reading first
 */
import { NotDone } from '../../engine/actor.ts'
import type { ReadZones } from '../../schemas/types.ts'
import type { TokenBudget } from './budget.ts'
import { BUCKET_TOKENS } from './budget.ts'
import { leastCost } from './documents.ts'
import { type Intervals, intervals, RANKS, type Rank } from './intervals.ts'
import type { SoundtrackSettings } from './polling.ts'
import { LastSent } from './last-sent.ts'
import type { Reading, Turn } from './turns.ts'

/** As many concurrent requests as the provider's own client makes. */
const MAX_CONCURRENT_POLLS = 3
/** Polls leave this many tokens for requests that a person waits for. */
const RESERVED_TOKENS = 200
/** A caller that would wait longer than this is told that tokens are short, ms. */
const HELD_MS = 5_000
const MIN_WAIT_MS = 20
/** A poll that another one has replaced returns after this, ms, unless it was ended. */
const REPLACED_MS = 1_000
/** The demand for tokens is recalculated this often, ms. */
const INTERVALS_MS = 1_000
/** Longest sleep: something may have changed in the meantime without a timer for it. */
const MAX_WAIT_MS = 1_000

interface Account {
  request: ReadZones
  cost: number
  /** Its poll that waits. */
  waiting: { grant(turn: Turn): void; refuse(why: unknown): void } | null
  asked: boolean
  renew: boolean
  /** When it was last tried, and when something last changed; 0 for never. */
  triedAt: number
  changedAt: number
  failures: number
  readonly since: number
  /** What was last sent to its venues, and the time of its newest reading. */
  lastSent: LastSent
  sentAsOf: number
}

export interface ScheduleOptions {
  readonly budget: TokenBudget
  readonly settings: SoundtrackSettings
  /** Wall clock, ms: it goes with the times on the log. */
  readonly now?: () => number
}

export class Schedule {
  readonly #budget: TokenBudget
  readonly #settings: SoundtrackSettings
  readonly #now: () => number
  readonly #accounts = new Map<string, Account>()
  /** Asked for before their polls came. */
  readonly #early = new Set<string>()
  #underWay = 0
  #intervals: Intervals = { every: new Map(), behind: false }
  #summedAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #woken = false

  constructor({ budget, settings, now = Date.now }: ScheduleOptions) {
    this.#budget = budget
    this.#settings = settings
    this.#now = now
  }

  /**
   * Waits until it is the account's turn.
   * @throws the signal's reason, when it is aborted; {NotDone} when another poll of the account has come to wait in its place
   */
  turn(request: ReadZones, signal: AbortSignal): Promise<Turn> {
    signal.throwIfAborted()
    const account = this.#known(request)
    account.waiting?.refuse(new NotDone('another poll of the account waits', { retryAfterMs: REPLACED_MS }))
    return new Promise((resolve, reject) => {
      const over = () => {
        account.waiting = null
        signal.removeEventListener('abort', abort)
      }
      const waiting = {
        grant: (turn: Turn) => {
          over()
          resolve(turn)
        },
        refuse: (why: unknown) => {
          over()
          reject(why)
        },
      }
      const abort = () => waiting.refuse(signal.reason)
      signal.addEventListener('abort', abort, { once: true })
      account.waiting = waiting
      this.#wake()
    })
  }

  /** Somebody waits for a reading of the account; or what is wanted of it has changed. */
  ask(id: string, reason: string): void {
    const account = this.#accounts.get(id)
    if (account === undefined) {
      if (reason !== 'renew') this.#early.add(id)
      return
    }
    if (reason === 'renew') account.renew = true
    else account.asked = true
    this.#wake()
  }

  /** A zone of the account was reported on its own, so that the next reading must not be compared with the account's last one. */
  zoneTold(id: string): void {
    this.#accounts.get(id)?.lastSent.forget()
  }

  /** When the zones of the account were last found unchanged. */
  sameAsOf(id: string): number | null {
    return this.#accounts.get(id)?.lastSent.sameAsOf ?? null
  }

  #known(request: ReadZones): Account {
    const { account: id, first, locations, places } = request
    const known = this.#accounts.get(id)
    const cost = Math.min(BUCKET_TOKENS - RESERVED_TOKENS, leastCost(first, { locations, places: places ? 'address' : null }))
    const asked = this.#early.delete(id) || (known?.asked ?? false)
    if (known !== undefined) {
      // A poll that was begun since knows what is wanted.
      const renew = known.renew && JSON.stringify(known.request) === JSON.stringify(request)
      const triedAt = known.renew && !renew ? request.readAt : known.triedAt
      // Another process has reported it in the meantime, or a report from here was lost.
      const lastSent = request.readAt === known.sentAsOf ? known.lastSent : new LastSent()
      return Object.assign(known, { request, cost, asked, renew, triedAt, lastSent, sentAsOf: request.readAt })
    }
    const now = this.#now()
    const made: Account = {
      request,
      cost,
      waiting: null,
      asked,
      renew: false,
      triedAt: request.readAt,
      changedAt: 0,
      failures: 0,
      since: now,
      lastSent: new LastSent(),
      sentAsOf: request.readAt,
    }
    this.#accounts.set(id, made)
    return made
  }

  #forget({ request }: Account, asked: boolean): void {
    this.#accounts.delete(request.account)
    if (asked) this.#early.add(request.account)
  }

  /** Many may come at once, after a start: they are served together. */
  #wake(): void {
    if (this.#woken) return
    this.#woken = true
    setImmediate(() => {
      this.#woken = false
      this.#serve()
    })
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#serve(), Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, ms)))
    this.#timer.unref()
  }

  #serve(): void {
    clearTimeout(this.#timer)
    while (this.#underWay < MAX_CONCURRENT_POLLS) {
      const { next, dueIn } = this.#next()
      if (next === null) {
        if (this.#accounts.size > 0) this.#wakeIn(dueIn)
        return
      }
      if (next.renew) {
        this.#forget(next, next.asked)
        next.waiting?.grant('renew')
        continue
      }
      const beside = next.asked ? 0 : RESERVED_TOKENS
      if (!this.#budget.takeNow(next.cost, beside)) {
        if (!next.asked || this.#budget.held <= HELD_MS) {
          this.#wakeIn(this.#budget.waitFor(next.cost + beside))
          return
        }
        next.asked = false
        next.lastSent.failed('rate_limited')
        next.waiting?.grant('limited')
        continue
      }
      next.waiting?.grant(this.#reading(next))
    }
  }

  #reading(account: Account): Reading {
    const { asked, lastSent } = account
    const began = this.#now()
    const purse = { tokens: account.cost }
    account.asked = false
    this.#underWay += 1
    let over = false
    const tried = (failures: number) => {
      over = true
      account.triedAt = began
      account.failures = failures
    }
    return {
      purse,
      detail: asked ? 'all' : this.#intervals.behind ? 'least' : 'some',
      read: (zones, asOf) => {
        tried(0)
        const { news, changed } = lastSent.read(zones, began)
        if (changed) account.changedAt = began
        const { tellMs, timeScale } = this.#settings
        if (!news && !asked && began < lastSent.at + tellMs / timeScale) return false
        lastSent.at = began
        account.sentAsOf = asOf
        return true
      },
      failed: reason => {
        // It waits for its turn again, as if it had not had it.
        if (reason === 'rate_limited' && !asked) {
          over = true
          return false
        }
        tried(account.failures + 1)
        // Where the provider is down nothing leaves and all would fail at once: they go on at the pace of their tokens.
        purse.tokens = 0
        return lastSent.failed(reason) || asked
      },
      end: () => {
        this.#underWay -= 1
        if (purse.tokens > 0) this.#budget.giveBack(purse.tokens)
        // The account no longer belongs to this poll: its new owner polls by itself.
        if (!over && account.waiting === null) this.#forget(account, asked)
        this.#wake()
      },
    }
  }

  /** Whose turn it is, or in how many ms it is the next one's. A few thousand are looked through in less time than a request takes. */
  #next(): { next: Account | null; dueIn: number } {
    const now = this.#now()
    const { every } = this.#sum(now)
    let [next, first]: [Account | null, number] = [null, RANKS.length]
    let dueIn = Number.POSITIVE_INFINITY
    for (const account of this.#accounts.values()) {
      if (account.waiting === null) continue
      if (account.renew) return { next: account, dueIn: 0 }
      const rank = this.#rank(account, now)
      const wait = this.#dueAt(account, rank, every.get(rank) as number) - now
      const place = RANKS.indexOf(rank)
      if (wait > 0) dueIn = Math.min(dueIn, wait)
      else if (place < first || (place === first && account.triedAt < (next?.triedAt ?? 0))) [next, first] = [account, place]
    }
    return { next, dueIn }
  }

  #sum(now: number): Intervals {
    if (now - this.#summedAt < INTERVALS_MS / this.#settings.timeScale) return this.#intervals
    const costs = new Map<Rank, number>()
    for (const account of this.#accounts.values()) {
      const rank = this.#rank(account, now)
      costs.set(rank, (costs.get(rank) ?? 0) + account.cost)
    }
    this.#intervals = intervals(costs, this.#budget.perSecond, this.#settings)
    this.#summedAt = now
    return this.#intervals
  }

  #rank({ asked, request, triedAt, changedAt, since }: Account, now: number): Rank {
    const { changedForMs, calmMs, timeScale } = this.#settings
    if (asked) return 'asked'
    if (request.urgent) return 'critical'
    if (triedAt === 0) return 'unread'
    if (now < changedAt + changedForMs / timeScale) return 'changed'
    return now < Math.max(changedAt, since) + calmMs / timeScale ? 'normal' : 'quiet'
  }

  #dueAt({ triedAt, failures }: Account, rank: Rank, every: number): number {
    const { failedMs, quietMs, timeScale } = this.#settings
    if (failures === 0 || rank === 'asked') return triedAt + every
    return triedAt + Math.min(quietMs, failedMs * 2 ** Math.min(20, failures - 1)) / timeScale
  }
}
