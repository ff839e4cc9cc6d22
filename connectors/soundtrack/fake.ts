/**
 * A server that is faithful to Soundtrack's contract: one GraphQL endpoint, its authorisation, its token bucket, its ways to
 * fail. For tests, and for the demo world.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DocumentNode, execute, getOperationAST, Kind, parse, validate, valueFromASTUntyped } from 'graphql'
import { complexity } from './fake-complexity.ts'
import { type Fault, Faults, type Target } from './fake-faults.ts'
import { graph, schema } from './fake-graph.ts'
import { type LiveZone, liveZones, type World } from './fake-world.ts'

export type { Fault } from './fake-faults.ts'
export {
  type AccountPlan,
  type LiveZone,
  type World,
  world,
  type WorldTrack,
  type ZoneKind,
  type ZonePlan,
} from './fake-world.ts'

export interface FakeSoundtrackOptions {
  readonly world: World
  readonly token: string
  /** 0, the default, takes a free one. */
  readonly port?: number
  readonly refillPerSecond?: number
  /** How an empty bucket answers: HTTP 429, or HTTP 200 with errors. Clients have seen both. */
  readonly limitedBy?: 429 | 200
  /** LastSent of every call, before it is answered. */
  readonly onCall?: (call: FakeCall) => void
  readonly now?: () => number
}

/** One top-level field of a request. */
export interface FakeCall extends Target {
  readonly at: number
  readonly variables: Readonly<Record<string, unknown>>
  /** Of the whole request. */
  readonly cost: number
}

export interface FakeSoundtrack {
  /** The whole endpoint, as the client wants it. */
  readonly url: string
  /** What was called, oldest first; the newest thousand. */
  readonly calls: readonly FakeCall[]
  /** The zones as they live, by id; what is not readonly may be set. */
  readonly zones: ReadonlyMap<string, LiveZone>
  /** Tokens in the bucket; may be set. */
  tokens: number
  /** Requests that there were too few tokens for. */
  readonly limited: number
  fault(fault: Fault): void
  /** Ends all faults. */
  heal(): void
  close(): Promise<void>
}

const BUCKET = 3_600
const CALLS_KEPT = 1_000
const LIMITED: readonly Fault['kind'][] = ['rate_limited', 'rate_limited_200']
const FAILING: readonly Fault['kind'][] = ['latency', 'status', 'malformed', 'drop']

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly cost: number
}

export async function startFakeSoundtrack(options: FakeSoundtrackOptions): Promise<FakeSoundtrack> {
  const { world, token, port = 0, refillPerSecond = 50, limitedBy = 429, onCall, now = Date.now } = options
  const zones = liveZones(world, now())
  const faults = new Faults()
  const calls: FakeCall[] = []
  const closing = new AbortController()
  let bucket = { tokens: BUCKET, at: now() }
  let limitedCount = 0

  const tokens = () => Math.min(BUCKET, bucket.tokens + ((now() - bucket.at) / 1000) * refillPerSecond)
  const setTokens = (value: number) => {
    bucket = { tokens: value, at: now() }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request)
    const [scheme, given] = (request.headers.authorization ?? '').split(' ')
    if (request.method !== 'POST' || request.url !== '/v2') return send(response, { status: 404, body: 'Not Found', cost: 0 })
    if (!['Basic', 'Bearer'].includes(scheme ?? '') || given !== token) {
      return send(response, { status: 401, body: errors('Unauthenticated', 'UNAUTHENTICATED'), cost: 0 })
    }
    const asked = readRequest(request, body)
    if (typeof asked === 'string') return send(response, { status: 400, body: errors(asked), cost: 0 })
    const invalid = asked.document === null ? asked.errors : validate(schema, asked.document)
    if (asked.document === null || invalid.length > 0) return send(response, { status: 200, body: { errors: invalid }, cost: 0 })
    const { document, variables, operationName } = asked
    const targets = targetsOf(document, variables, operationName, zones)
    const cost = complexity(schema, document, operationName, variables)
    const at = now()
    const called = targets.map(target => ({ ...target, at, variables, cost }))
    for (const call of called) onCall?.(call)
    calls.push(...called)
    calls.splice(0, calls.length - CALLS_KEPT)

    const limited = faults.take(LIMITED, targets)
    if (cost > tokens()) limitedCount += 1
    if (limited !== undefined || cost > tokens()) {
      return send(response, rateLimited(limited === undefined ? limitedBy : limited.kind === 'rate_limited' ? 429 : 200, cost))
    }
    const fault = faults.take(FAILING, targets)
    if (fault?.kind === 'status') {
      if (fault.retryAfterS !== undefined) response.setHeader('retry-after', fault.retryAfterS)
      return send(response, { status: fault.status ?? 503, body: 'Service Unavailable', cost: 0 })
    }
    setTokens(tokens() - cost)
    const rootValue = graph(world, zones, faults, at, cost)
    const result = await execute({ schema, document, rootValue, variableValues: variables, operationName })
    if (fault?.kind === 'drop') {
      response.destroy()
      return
    }
    if (fault?.kind === 'latency') await sleep(fault.ms ?? 1_000, undefined, { signal: closing.signal })
    send(response, { status: 200, body: result, cost }, fault?.kind === 'malformed')
  }

  function rateLimited(status: 429 | 200, cost: number): Answer {
    const have = Math.floor(tokens())
    return {
      status,
      body: errors(`You have been rate limited: this query costs ${cost} tokens and you have ${have} available`),
      cost,
    }
  }

  function send(response: ServerResponse, { status, body, cost }: Answer, cutOff = false): void {
    const json = typeof body === 'string' ? body : JSON.stringify(body)
    response.writeHead(status, {
      'content-type': typeof body === 'string' ? 'text/plain' : 'application/json',
      'x-ratelimiting-cost': String(cost),
      'x-ratelimiting-tokens-available': String(Math.floor(tokens())),
    })
    response.end(cutOff ? json.slice(0, json.length / 2) : json)
  }

  const server = createServer((request, response) => {
    serve(request, response).catch(error => {
      if (!closing.signal.aborted) response.destroy(error as Error)
    })
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2`,
    calls,
    zones,
    get limited() {
      return limitedCount
    },
    get tokens() {
      return tokens()
    },
    set tokens(value) {
      setTokens(value)
    },
    fault: fault => faults.add(fault),
    heal: () => faults.heal(),
    async close() {
      closing.abort()
      const closed = new Promise(resolve => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

function errors(message: string, code?: string) {
  return { errors: [code === undefined ? { message } : { message, extensions: { code } }] }
}

interface Asked {
  readonly document: DocumentNode | null
  readonly errors: readonly unknown[]
  readonly variables: Record<string, unknown>
  readonly operationName: string | undefined
}

/** What a request asks, as JSON or as bare GraphQL; a string says what is wrong with it. */
function readRequest(request: IncomingMessage, body: string): Asked | string {
  const type = request.headers['content-type'] ?? ''
  let asked: { query?: unknown; variables?: Record<string, unknown> | null; operationName?: string | null }
  try {
    asked = type.startsWith('application/graphql') ? { query: body } : JSON.parse(body)
  } catch {
    return 'the body is not JSON'
  }
  if (typeof asked.query !== 'string') return 'the body has no query'
  const rest = { variables: asked.variables ?? {}, operationName: asked.operationName ?? undefined }
  try {
    return { document: parse(asked.query), errors: [], ...rest }
  } catch (error) {
    return { document: null, errors: [error], ...rest }
  }
}

/** The top-level fields of a request, each with the zone and the account that it is about. */
function targetsOf(
  document: DocumentNode,
  variables: Record<string, unknown>,
  operationName: string | undefined,
  zones: ReadonlyMap<string, LiveZone>,
): Target[] {
  const fields = getOperationAST(document, operationName)?.selectionSet.selections ?? []
  return fields.flatMap(field => {
    if (field.kind !== Kind.FIELD) return []
    const args = Object.fromEntries((field.arguments ?? []).map(a => [a.name.value, valueFromASTUntyped(a.value, variables)]))
    const { id, soundZone, input } = args as { id?: string; soundZone?: string; input?: { soundZone?: string } }
    const zone = input?.soundZone ?? soundZone ?? (field.name.value === 'soundZone' ? id : undefined)
    const account = field.name.value === 'account' ? id : zones.get(zone ?? '')?.account
    return [{ operation: field.name.value, zone, account }]
  })
}
