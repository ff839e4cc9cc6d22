/**
 * Client of Soundtrack's GraphQL API: one document for an account's zones, in pages of the right size; one for a single zone;
 * the four commands. Every request waits for its tokens first, what a person waits for before polls.
 */
import type { Run } from '../../engine/actor.ts'
import type { ReadZones, ZoneCommand, ZoneReadingInput } from '../../schemas/types.ts'
import { HttpFailure, neverSent, TransportFailure, isTransient } from '../call-errors.ts'
import { fetchJson } from '../http.ts'
import { type Outbound, type OutboundOptions, outbound } from '../outbound.ts'
import { counter, Pause, type PauseOptions, pauseMs, retryAfterOf, spread } from '../pause.ts'
import { BUCKET_TOKENS, RateLimited, TokenBudget } from './budget.ts'
import { COMMANDS, type Document, pageDocument, ZONE, type ZoneNode } from './documents.ts'
import { type GraphqlError, GraphqlFailure } from './failures.ts'

export interface SoundtrackClientOptions {
  /** The whole endpoint, `…/v2`. */
  readonly url: string
  /** As the provider gave it: it is encoded already. */
  readonly token: string
  /** Refill of the token bucket. */
  readonly tokensPerSecond?: number
  /** Longest that a request may wait for its tokens (15,000): less than its effect may take, so that it is reported as rate limited. */
  readonly patienceMs?: number
  readonly timeoutMs?: number
  readonly breaker?: OutboundOptions['breaker']
  readonly retry?: OutboundOptions['retry']
  /** How long nothing is sent after the provider has reported a rate limit. */
  readonly limit?: PauseOptions
  readonly timeScale?: number
}

/** Tokens that were taken for a read before it began; what is used of them is deducted. */
export interface Purse {
  tokens: number
}

/** A read whose turn it is. */
export interface Granted {
  readonly purse: Purse
  /** `least`: presence and playback alone, however many tokens there are. */
  readonly detail?: 'all' | 'some' | 'least'
}

export interface SoundtrackClient {
  /** For health and metrics. */
  readonly outbound: Outbound
  /** Tokens that are left, as far as known. */
  readonly tokens: number
  /** The bucket that all share. */
  readonly budget: TokenBudget
  /**
   * All zones of an account. `total` is null where not every one could be read; a location that could not be is null.
   * Where it was granted it never fails for want of our own tokens, and where the provider is short of them it is not tried again.
   * @throws what `failureOf` explains
   */
  readZones(request: ReadZones, run: Run, granted?: Granted): Promise<{ zones: ZoneReadingInput[]; total: number | null }>
  /** One zone, in full. @throws what `failureOf` explains */
  readZone(zone: string, run: Run): Promise<ZoneReadingInput>
  /** Resolves once the provider has taken it. @throws what `failureOf` explains */
  command(command: ZoneCommand, run: Run): Promise<void>
  close(): Promise<void>
}

/** 0 to 9, lower first. */
const PRIORITY = { command: 1, zone: 2, attention: 4, poll: 7 } as const
/** Polls read everything while at least this much of the bucket is left; below it, presence and playback. */
const DETAIL_ABOVE = BUCKET_TOKENS / 2
/** Page size of the provider's own client. */
const MAX_PAGE = 100
const MAX_PAGES = 100
/** Tries in all when the provider reports a rate limit; then the caller is told, and tries again later. */
const LIMITED_TRIES = 2

interface Page {
  readonly account: {
    readonly soundZones: {
      readonly total: number
      readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null }
      readonly edges: readonly { readonly node: ZoneNode | null }[]
    } | null
  } | null
}

export function soundtrackClient(options: SoundtrackClientOptions): SoundtrackClient {
  const { url, token, tokensPerSecond = 50, patienceMs = 15_000, timeoutMs = 10_000, timeScale = 1, breaker, retry } = options
  // Three at once, as the provider's own client.
  const calls = outbound({
    name: 'Soundtrack',
    concurrency: 3,
    timeoutMs,
    timeScale,
    ...(breaker && { breaker }),
    ...(retry && { retry }),
  })
  const budget = new TokenBudget({ perSecond: tokensPerSecond, patienceMs })
  const pause = new Pause(options.limit)
  /** Limits that an attempt has met, for its own pause. */
  const limits = counter()
  let knownOfPlaces: 'name' | 'address' = 'address'
  const headers = { 'content-type': 'application/json', authorization: `Basic ${token}` }

  /** Sends a document. Where the provider says that tokens are missing, waits for them and sends it again. */
  async function send<T>(
    run: Run,
    document: Document,
    variables: object,
    priority: number,
    { retryable = isTransient, purse = null }: { retryable?: typeof isTransient; purse?: Purse | null } = {},
  ): Promise<Answer<T>> {
    const { query, cost } = document
    const admit = async () => {
      const paid = Math.min(cost, purse?.tokens ?? 0)
      if (purse !== null) purse.tokens -= paid
      if (paid < cost)
        await budget.take(cost - paid, priority, run.signal, purse === null ? patienceMs : Number.POSITIVE_INFINITY)
    }
    const request = (signal: AbortSignal) => post<T>(run.attempt, query, variables, cost, signal)
    for (let tries = 1; ; tries++) {
      try {
        return await calls.call(run, request, { priority, retryable, admit })
      } catch (error) {
        if (!(error instanceof RateLimited && error.byProvider) || tries === LIMITED_TRIES || purse !== null) throw error
      }
    }
  }

  async function post<T>(
    attempt: string,
    query: string,
    variables: object,
    cost: number,
    signal: AbortSignal,
  ): Promise<Answer<T>> {
    const init = { method: 'POST', headers, body: JSON.stringify({ query, variables }) }
    const sentAt = performance.now()
    let answer: { body: unknown; headers: Headers }
    try {
      answer = await fetchJson(url, init, signal)
    } catch (error) {
      if (error instanceof HttpFailure && error.status === 429) throw limited(attempt, sentAt, error.body, cost, error.headers)
      // A server that is down may say until when, too.
      const retryAfterMs = error instanceof HttpFailure && error.status === 503 ? retryAfterOf(error.headers) : null
      if (retryAfterMs !== null) budget.hold(pause.limited(sentAt, retryAfterMs))
      throw error
    }
    const available = tokensOf(answer.headers)
    if (available !== null) budget.lower(available)
    const { data = null, errors = [] } = (answer.body ?? {}) as { data?: T | null; errors?: readonly GraphqlError[] }
    if (!Array.isArray(errors) || (data === null && errors.length === 0))
      throw new TransportFailure('answered with neither data nor errors', true)
    const limit = errors.find(e => /rate limit/i.test(e.message))
    if (limit !== undefined) throw limited(attempt, sentAt, limit.message, cost, answer.headers)
    pause.passed(sentAt)
    return { data, errors }
  }

  /** The provider's word that tokens are missing; our own count follows it, and everybody waits. */
  function limited(attempt: string, sentAt: number, message: string, cost: number, headers: Headers): RateLimited {
    const said = /costs (\d+) tokens.*have (\d+) available/s.exec(message)
    const available = said === null ? (tokensOf(headers) ?? 0) : Number(said[2])
    // It must be short of something, whatever it says is left.
    budget.lower(Math.min(available, cost - 1))
    budget.hold(pause.limited(sentAt, retryAfterOf(headers) ?? 0))
    const wait = budget.waitFor(said === null ? cost : Number(said[1]))
    return new RateLimited(message.slice(0, 300), Math.max(wait, spread(pauseMs(limits(attempt), options.limit))), true)
  }

  return {
    outbound: calls,
    budget,
    get tokens() {
      return budget.available
    },

    async readZones({ account, first, locations, places: wanted, full }, run, granted) {
      let places = wanted ? knownOfPlaces : null
      const zones: ZoneReadingInput[] = []
      let after: string | null = null
      let page = clamp(first)
      for (let pages = 1; pages <= MAX_PAGES; pages++) {
        const rich = pageDocument(page, { detail: true, locations, places })
        const affords = granted?.detail !== 'least' && budget.available - rich.cost >= DETAIL_ABOVE
        const detail = full || affords
        const document = detail ? rich : pageDocument(page, { detail, locations, places })
        const variables: Record<string, unknown> = { account, first: page, after }
        const priority = full ? PRIORITY.attention : PRIORITY.poll
        const { data, errors } = await send<Page>(run, document, variables, priority, granted && { purse: granted.purse })
        const found = data?.account?.soundZones
        if (found == null && places === 'address' && errors.some(e => e.message.includes('physicalAddress'))) {
          // Without permission for addresses, or without addresses, names are still visible.
          places = knownOfPlaces = 'name'
          continue
        }
        if (found == null) throw new GraphqlFailure(errors, 'the account has no zones to read')
        const { total, pageInfo } = found
        // A zone that could not be read is null; the rest of the page is good.
        for (const { node } of found.edges) if (node !== null) zones.push(readingOf(node, detail))
        after = pageInfo.endCursor
        if (!pageInfo.hasNextPage || after === null) return { zones, total: zones.length === total ? total : null }
        page = clamp(total - zones.length)
      }
      return { zones, total: null }
    },

    async readZone(zone, run) {
      const { data, errors } = await send<{ soundZone: ZoneNode | null }>(run, ZONE, { zone }, PRIORITY.zone)
      if (data?.soundZone == null) throw new GraphqlFailure(errors, 'no such zone')
      return readingOf(data.soundZone, true)
    },

    async command({ id, kind, zone, volume }, run) {
      if (kind === 'UNKNOWN') throw new GraphqlFailure([], `no command ${kind}`)
      const input = { soundZone: zone, clientMutationId: id, ...(kind === 'SET_VOLUME' && { volume }) }
      // A skip done twice skips two tracks; the others, done twice, are done once.
      const retryable = kind === 'SKIP' ? neverSent : isTransient
      const { data, errors } = await send<Record<string, object | null>>(run, COMMANDS[kind], { input }, PRIORITY.command, {
        retryable,
      })
      if (errors.length > 0) throw new GraphqlFailure(errors, 'refused')
      if (Object.values(data ?? {}).every(payload => payload === null)) throw new TransportFailure('answered with nothing', true)
    },

    close: () => calls.close(),
  }
}

interface Answer<T> {
  readonly data: T | null
  readonly errors: readonly GraphqlError[]
}

function tokensOf(headers: Headers): number | null {
  const value = headers.get('x-ratelimiting-tokens-available')
  return value === null || Number.isNaN(Number(value)) ? null : Number(value)
}

const clamp = (first: number) => Math.min(MAX_PAGE, Math.max(1, Math.ceil(first)))

function addressOf({ location }: ZoneNode): string | null {
  const { addressLine1 = '', city = '' } = location?.physicalAddress ?? {}
  return [addressLine1, city].filter(part => part !== '').join(', ') || null
}

function readingOf(node: ZoneNode, detail: boolean): ZoneReadingInput {
  const { nowPlaying, playback } = node
  const startedAt = Date.parse(nowPlaying?.startedAt ?? '')
  return {
    zone: node.id,
    name: node.name,
    location: node.location?.id ?? null,
    locationName: node.location?.name ?? null,
    locationAddress: addressOf(node),
    paired: node.isPaired,
    online: node.online,
    subscription: node.subscription?.state ?? null,
    statusCode: node.status?.code ?? null,
    playback: playback?.state ?? null,
    volume: playback?.volume ?? null,
    track: nowPlaying?.track?.title ?? null,
    artist: nowPlaying?.track?.artists?.map(a => a.name).join(', ') || null,
    source: node.playFrom?.name ?? null,
    trackStartedAt: Number.isNaN(startedAt) ? null : startedAt,
    error: null,
    detail,
  }
}
