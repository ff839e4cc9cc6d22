/** A client's connection: sends the events that its principal may see, from its own positions on. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { Moment } from '../../engine/moment.ts'
import { hasPermission, isInstallationWide, type Principal, seesPersonalData } from '../access/principal.ts'
import { visible } from '../access/scope-sql.ts'
import type { Bookmarks } from './bookmarks.ts'
import type { Feed, LiveEvent } from './feed.ts'

const HEARTBEAT_MS = 15_000
/** Then the client must reconnect, so that its token is checked again. */
const MAX_LIFETIME_MS = 5 * 60_000
/** A client that reads nothing for this long is disconnected; it may resume where it was. */
const SLOW_CLIENT_MS = 10_000
/** How long the venues of a scope by regions are cached. */
const SCOPE_CACHED_MS = 60_000

export class Connection {
  readonly #feed: Feed
  readonly #pool: pg.Pool
  readonly #principal: Principal
  readonly #reply: FastifyReply
  readonly #bookmarks: Bookmarks
  readonly #positions: number[]
  /** Whether events since the last visit are unknown, since the client's id is not valid. */
  readonly #resync: boolean
  readonly #ended = new Moment()
  #isOver = false
  #scope: { readonly venues: ReadonlySet<string>; readonly until: number } = { venues: new Set(), until: 0 }

  /** Starts at the positions of Last-Event-ID, otherwise at the end of each partition. Every event is authorised when it is sent. */
  constructor(feed: Feed, pool: pg.Pool, { principal, headers }: FastifyRequest, reply: FastifyReply, bookmarks: Bookmarks) {
    const id = headers['last-event-id'] as string | undefined
    const found = id === undefined ? null : bookmarks.positionsOf(id)
    this.#feed = feed
    this.#pool = pool
    this.#principal = principal
    this.#reply = reply
    this.#bookmarks = bookmarks
    this.#positions = found ?? feed.followed.map(({ end }) => end)
    this.#resync = id !== undefined && found === null
  }

  end(): void {
    this.#isOver = true
    this.#ended.come()
  }

  async run(): Promise<void> {
    const { raw } = this.#reply
    raw.once('close', () => this.end())
    raw.writeHead(200, {
      ...(this.#reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    const until = performance.now() + MAX_LIFETIME_MS
    try {
      await this.#write(`retry: 1000\nevent: ready\nid: ${this.#id()}\ndata: {}\n\n`)
      if (this.#resync) await this.#write('event: resync\ndata: {}\n\n')
      while (!this.#isOver && performance.now() < until) {
        const news = this.#feed.news
        if (await this.#sendNews()) continue
        const timer = new AbortController()
        const beat = sleep(HEARTBEAT_MS, 'beat', timer).catch(() => '')
        const woken = await this.#ended.or(Promise.race([news, beat]))
        timer.abort()
        if (woken === 'beat') await this.#write(':\n\n')
      }
    } catch {
      // The client has gone or is too slow, or the log is unavailable: the client reconnects and resumes.
    } finally {
      raw.end()
    }
  }

  /** Sends new events. @returns whether there may be more already */
  async #sendNews(): Promise<boolean> {
    let more = false
    for (const [n, followed] of this.#feed.followed.entries()) {
      const from = this.#positions[n] as number
      if (from >= followed.end || this.#isOver) continue
      const { events, next } = await this.#feed.read(followed, from)
      this.#positions[n] = next
      more ||= next < followed.end
      const all = seesPersonalData(this.#principal)
      const seen: LiveEvent[] = []
      for (const event of events) if (event !== null && (await this.#sees(event))) seen.push(event)
      // Only the last event has the new id: a client that disconnects in between receives the others again rather than never.
      const text = seen.map(
        ({ event, data, masked }, at) =>
          `event: ${event}\n${at === seen.length - 1 ? `id: ${this.#id()}\n` : ''}data: ${all ? data : masked}\n\n`,
      )
      if (text.length > 0) await this.#write(text.join(''))
    }
    return more
  }

  async #sees({ permission, venue, owner }: LiveEvent): Promise<boolean> {
    const { tenant, regions, venues } = this.#principal.scope
    if (!hasPermission(this.#principal, permission)) return false
    if (owner === '') return isInstallationWide(this.#principal)
    if (!owner.startsWith(`${tenant}:`)) return false
    if (regions === null) return venues === null || (venue !== null && venues.includes(venue))
    return venue !== null && (await this.#venues()).has(venue)
  }

  /** The venues of a scope by regions. */
  async #venues(): Promise<ReadonlySet<string>> {
    if (this.#scope.until < performance.now()) {
      const scope = visible(this.#principal, 'v.id', 'v.id', 1)
      const { rows } = await this.#pool.query<{ id: string }>(`SELECT id FROM venues v WHERE ${scope.sql}`, scope.values)
      this.#scope = { venues: new Set(rows.map(row => row.id)), until: performance.now() + SCOPE_CACHED_MS }
    }
    return this.#scope.venues
  }

  #id(): string {
    return this.#bookmarks.idOf(this.#positions)
  }

  /** @throws if the client reads nothing */
  async #write(text: string): Promise<void> {
    const { raw } = this.#reply
    if (raw.write(text)) return
    const drained = new Promise<string>(resolve => raw.once('drain', () => resolve('drained')))
    const timer = new AbortController()
    const slow = sleep(SLOW_CLIENT_MS, 'slow', timer).catch(() => '')
    const outcome = await this.#ended.or(Promise.race([drained, slow]))
    timer.abort()
    if (outcome === 'slow') throw new Error('the client is too slow')
  }
}
