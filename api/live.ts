/**
 * Live updates by server-sent events. One reader of the process follows the log; each connection has positions of its own, tells
 * them as the event's id, and goes on from there when it comes back:
 *
 *   log ─▶ feed (the newest of each partition) ─▶ connection: what its principal may see ─▶ client
 *     └───────────── what is older, read for the connection that is behind ───────────────▲
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import type { Logger } from 'pino'
import { Type } from 'typebox'
import { messageOf } from '../engine/errors.ts'
import { Moment } from '../engine/moment.ts'
import { alerts, conversationProfiles, issues, type Topic, venueProfiles } from '../topics/catalog.ts'
import { type Codec, CodecError, type Decoded } from '../topics/codec.ts'
import { type Log, LogError, type LogRecord, type Read, type TopicPartition } from '../topics/log.ts'
import { conversationView, venueView } from '../views/views.ts'
import { masked } from './masks.ts'
import { may, nameOf, type Permission, type Principal, seesEverything, seesPersonalData, visible } from './access/principal.ts'
import { Problem } from './problem.ts'
import type { Api } from './types.ts'

interface Update {
  readonly event: 'venue' | 'conversation' | 'alert' | 'issue'
  /** Whose it is; null where it is of no venue. */
  readonly venue: string | null
  /** Begins with the tenant. */
  readonly of: string
  readonly data: string
  /** What those are told who see no personal data, where it is something else. */
  readonly masked?: string
}

const TOPICS: readonly Topic[] = [venueProfiles, conversationProfiles, alerts, issues]
const NEEDS: Readonly<Record<Update['event'], Permission>> = {
  venue: 'venues:read',
  conversation: 'conversations:read',
  alert: 'alerts:read',
  issue: 'issues:read',
}
/** Records of each partition that are kept for those who follow closely. */
const KEPT = 500
const READ_BYTES = 256 * 1024
const HEARTBEAT_MS = 15_000
/** After so long the client connects anew, and shows its token again. */
const LIFE_MS = 5 * 60_000
/** A client that takes nothing for so long is let go; it comes back to where it was. */
const SLOW_MS = 10_000
/** How long a scope by regions is believed. */
const SCOPE_MS = 60_000

export function liveRoutes(
  app: Api,
  {
    log,
    codec,
    pool,
    logger,
    bookmarks,
  }: { log: Log; codec: Codec; pool: pg.Pool; logger: Pick<Logger, 'warn'>; bookmarks: KeyObject },
): void {
  const feed = new Feed(log, codec, logger)
  const connections = new Set<Connection>()
  app.addHook('preClose', async () => {
    for (const connection of connections) connection.end()
    await feed.close()
  })

  app.get(
    '/live',
    {
      exposeHeadRoute: false, // there is no body to wait for
      config: { permission: 'self:read' },
      schema: {
        summary: 'Changes of venues, conversations, alerts and issues, as server-sent events',
        produces: 'text/event-stream',
        headers: Type.Object({
          'last-event-id': Type.Optional(
            Type.String({
              maxLength: 20_000,
              description:
                'of the last event that came: what came after it follows; one that is not known begins anew, with the event `resync`',
            }),
          ),
        }),
      },
    },
    async (request, reply) => {
      await feed.start()
      const bookmark = new Bookmarks(feed, bookmarks, request.principal)
      const connection = new Connection(feed, pool, request, reply, bookmark)
      connections.add(connection)
      void connection.run().finally(() => connections.delete(connection))
      return reply.hijack()
    },
  )
}

/** A partition, and the newest of its updates. */
interface Followed {
  readonly at: TopicPartition
  /** Next offset that is to come. */
  end: number
  updates: { readonly offset: number; readonly update: Update | null }[]
}

class Feed {
  readonly #log: Log
  readonly #codec: Codec
  readonly #logger: Pick<Logger, 'warn'>
  readonly followed: Followed[] = []
  #starting: Promise<void> | null = null
  #running: Promise<void>[] = []
  #closed = false
  readonly #ended = new Moment()
  #news = Promise.withResolvers<void>()

  constructor(log: Log, codec: Codec, logger: Pick<Logger, 'warn'>) {
    this.#log = log
    this.#codec = codec
    this.#logger = logger
  }

  /** Nothing is followed before somebody wants to know. */
  start(): Promise<void> {
    this.#starting ??= this.#start().catch(error => {
      this.#starting = null
      throw new Problem('unavailable', 'the log cannot be read now', { cause: error })
    })
    return this.#starting
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#ended.come()
    this.#news.resolve()
    await Promise.all(this.#running)
  }

  /** Resolves when anything has come. */
  get news(): Promise<void> {
    return this.#news.promise
  }

  /** Updates of a partition from an offset on; the offset after them. */
  async read({ at, end, updates }: Followed, from: number): Promise<{ updates: (Update | null)[]; next: number }> {
    const first = updates[0]?.offset ?? end
    if (from >= first) return { updates: updates.filter(u => u.offset >= from).map(u => u.update), next: end }
    const read = await this.#log.read(at, from, { maxBytes: READ_BYTES, wait: 1 })
    return { updates: await this.#updates(read), next: Math.max(read.next, from) }
  }

  async #start(): Promise<void> {
    const ends = await Promise.all(
      TOPICS.map(async ({ name }) =>
        (await this.#log.ends(name)).map(({ partition, high }) => ({ topic: name, partition, high })),
      ),
    )
    for (const { topic, partition, high } of ends.flat()) {
      const followed = { at: { topic, partition }, end: high, updates: [] }
      this.followed.push(followed)
      this.#running.push(this.#follow(followed))
    }
  }

  async #follow(followed: Followed): Promise<void> {
    while (!this.#closed) {
      try {
        const reading = this.#log.read(followed.at, followed.end, { maxBytes: READ_BYTES, wait: 1_000 })
        const read = await this.#ended.or(reading)
        if (read === null) return // nobody wants it any more
        if (read.next === followed.end) continue
        const updates = await this.#updates(read)
        const kept = [...followed.updates, ...read.records.map(({ offset }, n) => ({ offset, update: updates[n] ?? null }))]
        followed.updates = kept.slice(-KEPT)
        followed.end = read.next
        this.#news.resolve()
        this.#news = Promise.withResolvers()
      } catch (error) {
        if (this.#closed || (error instanceof LogError && error.code === 'closed')) return
        this.#logger.warn({ reason: messageOf(error) }, 'live updates wait for the log')
        await sleep(1_000)
      }
    }
  }

  async #updates({ records }: Read): Promise<(Update | null)[]> {
    await this.#codec.prepare(records)
    return records.map(record => {
      try {
        return updateOf(record, record.value === null ? null : this.#codec.decode(record.value))
      } catch (error) {
        if (error instanceof CodecError) return null // of a newer version of the service
        throw error
      }
    })
  }
}

function updateOf({ topic, key }: LogRecord, decoded: Decoded | null): Update | null {
  if (key === null) return null
  const gone = JSON.stringify({ id: key, deleted: true })
  if (decoded === null) {
    if (topic === venueProfiles.name) return { event: 'venue', venue: key, of: key, data: gone }
    return topic === conversationProfiles.name ? { event: 'conversation', venue: null, of: key, data: gone } : null
  }
  switch (decoded.type) {
    case 'VenueProfile': {
      const { contact, notes, provenance, overrides, ...view } = venueView(decoded.value)
      return { event: 'venue', venue: view.id, of: view.id, data: JSON.stringify(view) }
    }
    case 'ConversationProfile': {
      const view = conversationView(decoded.value)
      return { event: 'conversation', venue: view.venue, of: view.id, data: JSON.stringify(view) }
    }
    case 'Alert': {
      const { department, priority, at, ...alert } = decoded.value
      const data = { ...alert, department: department.toLowerCase(), priority: priority.toLowerCase(), at: new Date(at) }
      return { event: 'alert', venue: alert.venue, of: alert.venue ?? alert.conversation ?? '', data: JSON.stringify(data) }
    }
    case 'Issue': {
      const { id, conversation, venue, venueName, department, priority, reason, status, assignee, openedAt, updatedAt } =
        decoded.value
      const data = {
        id,
        conversation,
        venue,
        venueName,
        department: department.toLowerCase(),
        priority: priority.toLowerCase(),
        reason,
        status: status.toLowerCase(),
        assignee,
        openedAt: new Date(openedAt),
        updatedAt: new Date(updatedAt),
      }
      const hidden = { ...data, assignee: masked(assignee) }
      return { event: 'issue', venue, of: conversation, data: JSON.stringify(data), masked: JSON.stringify(hidden) }
    }
    default:
      return null
  }
}

class Connection {
  readonly #feed: Feed
  readonly #pool: pg.Pool
  readonly #principal: Principal
  readonly #reply: FastifyReply
  readonly #bookmarks: Bookmarks
  readonly #positions: number[]
  /** Whether what came since the client was here last is not known. */
  readonly #anew: boolean
  readonly #ended = new Moment()
  #isOver = false
  #scope: { readonly venues: ReadonlySet<string>; readonly until: number } = { venues: new Set(), until: 0 }

  constructor(feed: Feed, pool: pg.Pool, { principal, headers }: FastifyRequest, reply: FastifyReply, bookmarks: Bookmarks) {
    const id = headers['last-event-id'] as string | undefined
    const found = id === undefined ? null : bookmarks.positionsOf(id)
    this.#feed = feed
    this.#pool = pool
    this.#principal = principal
    this.#reply = reply
    this.#bookmarks = bookmarks
    this.#positions = found ?? feed.followed.map(({ end }) => end)
    this.#anew = id !== undefined && found === null
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
    const until = performance.now() + LIFE_MS
    try {
      await this.#write(`retry: 1000\nevent: ready\nid: ${this.#id()}\ndata: {}\n\n`)
      if (this.#anew) await this.#write('event: resync\ndata: {}\n\n')
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
      // The client has gone, is too slow, or the log is away: it comes back to where it was.
    } finally {
      raw.end()
    }
  }

  /** Sends what has come; true where there may be more at once. */
  async #sendNews(): Promise<boolean> {
    let more = false
    for (const [n, followed] of this.#feed.followed.entries()) {
      const from = this.#positions[n] as number
      if (from >= followed.end || this.#isOver) continue
      const { updates, next } = await this.#feed.read(followed, from)
      this.#positions[n] = next
      more ||= next < followed.end
      const all = seesPersonalData(this.#principal)
      const seen: Update[] = []
      for (const update of updates) if (update !== null && (await this.#sees(update))) seen.push(update)
      // Only the last one has the new id: a client that comes back in between gets the others twice rather than not at all.
      const text = seen.map(
        ({ event, data, masked = data }, at) =>
          `event: ${event}\n${at === seen.length - 1 ? `id: ${this.#id()}\n` : ''}data: ${all ? data : masked}\n\n`,
      )
      if (text.length > 0) await this.#write(text.join(''))
    }
    return more
  }

  async #sees({ event, venue, of }: Update): Promise<boolean> {
    const { tenant, regions, venues } = this.#principal.scope
    if (!may(this.#principal, NEEDS[event])) return false
    if (of === '') return seesEverything(this.#principal)
    if (!of.startsWith(`${tenant}:`)) return false
    if (regions === null) return venues === null || (venue !== null && venues.includes(venue))
    return venue !== null && (await this.#venues()).has(venue)
  }

  /** The venues of a scope by regions. */
  async #venues(): Promise<ReadonlySet<string>> {
    if (this.#scope.until < performance.now()) {
      const scope = visible(this.#principal, 'v.id', 'v.id', 1)
      const { rows } = await this.#pool.query<{ id: string }>(`SELECT id FROM venues v WHERE ${scope.sql}`, scope.values)
      this.#scope = { venues: new Set(rows.map(row => row.id)), until: performance.now() + SCOPE_MS }
    }
    return this.#scope.venues
  }

  #id(): string {
    return this.#bookmarks.idOf(this.#positions)
  }

  /** @throws when the client takes nothing */
  async #write(text: string): Promise<void> {
    const { raw } = this.#reply
    if (raw.write(text)) return
    const drained = new Promise<string>(resolve => raw.once('drain', () => resolve('drained')))
    const timer = new AbortController()
    const slow = sleep(SLOW_MS, 'slow', timer).catch(() => '')
    const what = await this.#ended.or(Promise.race([drained, slow]))
    timer.abort()
    if (what === 'slow') throw new Error('the client is too slow')
  }
}

/**
 * Where somebody is, as the id of an event: signed, and good for them with what they may see now. Any other would show them what was
 * theirs to see at another time, or never.
 */
class Bookmarks {
  readonly #feed: Feed
  readonly #key: KeyObject
  readonly #whose: string

  constructor(feed: Feed, key: KeyObject, principal: Principal) {
    this.#feed = feed
    this.#key = key
    const { regions, venues } = principal.scope
    this.#whose = JSON.stringify([nameOf(principal), principal.role, regions, venues])
  }

  /** Positions by topic, in the order of the partitions. */
  idOf(positions: readonly number[]): string {
    const { followed } = this.#feed
    const byTopic = TOPICS.map(({ name }) =>
      followed.flatMap(({ at }, n) => (at.topic === name ? [{ partition: at.partition, position: positions[n] as number }] : [])),
    )
    const ordered = byTopic.map(of => of.sort((a, b) => a.partition - b.partition).map(({ position }) => position))
    const json = JSON.stringify(ordered)
    return `${Buffer.from(json).toString('base64url')}.${this.#signature(json)}`
  }

  /** Null for an id that is none of theirs, or of a log that is another one by now. What it does not speak of begins at its end. */
  positionsOf(id: string): number[] | null {
    const [content = '', signature = ''] = id.split('.')
    const json = Buffer.from(content, 'base64url').toString()
    const [given, own] = [Buffer.from(signature), Buffer.from(this.#signature(json))]
    if (given.length !== own.length || !timingSafeEqual(given, own)) return null
    const ordered = JSON.parse(json) as number[][]
    const positions = this.#feed.followed.map(
      ({ at, end }) => ordered[TOPICS.findIndex(t => t.name === at.topic)]?.[at.partition] ?? end,
    )
    const ends = this.#feed.followed.map(({ end }) => end)
    // This process may have read less than the one that gave the id; much less only of another log.
    if (positions.some((position, n) => position > (ends[n] as number) + KEPT)) return null
    return positions.map((position, n) => Math.min(position, ends[n] as number))
  }

  #signature(json: string): string {
    return createHmac('sha256', this.#key).update(`${this.#whose}\n${json}`).digest('base64url')
  }
}
