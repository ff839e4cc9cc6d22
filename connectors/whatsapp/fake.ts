/**
 * A server that behaves as the Cloud API's contract says: takes messages within the documented limits, reports their statuses
 * to a webhook, signs and escapes as Meta does, and fails when told to.
 */
import { createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type FakeError, faultyMessage } from './fake-checks.ts'
import {
  accept,
  contentOf,
  escaped,
  type FakeDelivery,
  type FakeSent,
  type Json,
  randomId,
  seconds,
  wamid,
} from './fake-messages.ts'

export interface FakeWhatsAppOptions {
  readonly port?: number
  readonly phoneNumberId: string
  readonly accessToken: string
  readonly appSecret: string
  readonly verifyToken?: string
  readonly webhookUrl?: string
  /** Statuses that follow an accepted message, in this order; all three where absent. */
  readonly statuses?: readonly Status[]
  /** Wait before each status, ms. */
  readonly statusDelayMs?: number
  /** At most `burst` messages to one user at once, refilled by one every `perMs`. No limit if absent. */
  readonly pairLimit?: { readonly burst: number; readonly perMs: number }
  /** Refuses free-form messages to users who have not written within 24 hours (131047). */
  readonly window?: boolean
}

export type Status = 'sent' | 'delivered' | 'read' | 'failed'

/** What goes wrong with the next `times` (1) messages, to the given user or to anyone. */
export type Fault = { readonly times?: number; readonly to?: string } & (
  | { readonly kind: 'status'; readonly status: number; readonly body?: string; readonly retryAfterS?: number }
  | { readonly kind: 'error'; readonly code: number; readonly status?: number; readonly details?: string }
  /** Taken at once, answered late. */
  | { readonly kind: 'latency'; readonly ms: number }
  | { readonly kind: 'drop_before' }
  | { readonly kind: 'drop_after_accept' }
  /** Taken, then reported as failed instead of the usual statuses. */
  | { readonly kind: 'fail_later'; readonly code: number }
)

export interface FakeWhatsApp {
  /** As WHATSAPP_API_URL takes it. */
  readonly url: string
  /** Everything that was taken, in order. */
  readonly sent: readonly FakeSent[]
  /** Every request for a message, taken or not. */
  readonly requests: number
  /** Where webhooks go; may be set once the receiver is there. */
  webhookUrl: string | undefined
  statuses: readonly Status[]
  fault(fault: Fault): void
  /** Delivers a user's message, signed; returns its id and the receiver's HTTP statuses. */
  deliver(message?: FakeDelivery): Promise<{ id: string; answers: number[] }>
  /** Posts any body to the webhook; signed wrongly or not at all where asked. Returns the receiver's HTTP status. */
  post(body: string | Json, signature?: 'good' | 'wrong' | 'none'): Promise<number>
  /** Asks the receiver for the handshake. */
  subscribe(challenge: string): Promise<{ status: number; body: string }>
  /** Waits until the predicate holds. @throws after `ms`, with what was sent */
  waitFor(predicate: (fake: FakeWhatsApp) => boolean, ms?: number): Promise<void>
  close(): Promise<void>
}

export async function startFakeWhatsApp(options: FakeWhatsAppOptions): Promise<FakeWhatsApp> {
  const { phoneNumberId, accessToken, appSecret, verifyToken = '', statusDelayMs = 5, pairLimit } = options
  const sent: FakeSent[] = []
  const faults: (Fault & { left: number })[] = []
  const pairs = new Map<string, { tokens: number; at: number }>()
  const heardFrom = new Map<string, number>()
  const closing = new AbortController()
  let requests = 0

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request)
    const path = /^\/v\d+\.\d+\/([^/?]+)\/messages(?:\?|$)/.exec(request.url ?? '')
    if (request.method !== 'POST' || path === null) return refuse(response, unknownPath(request))
    if (request.headers.authorization !== `Bearer ${accessToken}`) return refuse(response, BAD_TOKEN)
    if (path[1] !== phoneNumberId) return refuse(response, unknownPath(request))
    if (body === null) return refuse(response, { status: 400, code: 100, message: 'Invalid JSON', details: '' })
    if (body.status === 'read') return send(response, 200, { success: true })
    requests += 1
    await take(body, response)
  }

  async function take(body: Json, response: ServerResponse): Promise<void> {
    const to = String(body.to ?? body.recipient ?? '').replace(/^\+/, '')
    const fault = nextFault(to)
    if (fault?.kind === 'drop_before') return void response.destroy()
    if (fault?.kind === 'status') {
      const { status, body: said = '', retryAfterS } = fault
      return void response.writeHead(status, retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) }).end(said)
    }
    if (fault?.kind === 'error') {
      const { code, status = 400, details = 'scripted' } = fault
      return refuse(response, { status, code, message: 'Scripted error', details })
    }
    const wrong = faultyMessage(body) ?? closedWindow(to, body) ?? tooFast(to)
    if (wrong !== null) return refuse(response, wrong)

    const message = accept(to, body)
    sent.push(message)
    void report(message, fault?.kind === 'fail_later' ? fault.code : null)
    if (fault?.kind === 'drop_after_accept') return void response.destroy()
    if (fault?.kind === 'latency') await sleep(fault.ms, undefined, { signal: closing.signal })
    const contacts = [{ input: to, wa_id: to }]
    send(response, 200, { messaging_product: 'whatsapp', contacts, messages: [{ id: message.id }] })
  }

  function nextFault(to: string): Fault | undefined {
    const fault = faults.find(f => f.left > 0 && (f.to === undefined || f.to === to))
    if (fault !== undefined) fault.left -= 1
    return fault
  }

  function closedWindow(to: string, body: Json): FakeError | null {
    const open = Date.now() - (heardFrom.get(to) ?? 0) < 24 * 60 * 60_000
    if (!options.window || open || body.type === 'template') return null
    return { status: 400, code: 131047, message: 'Re-engagement message', details: 'More than 24 hours have passed' }
  }

  function tooFast(to: string): FakeError | null {
    if (pairLimit === undefined) return null
    const now = Date.now()
    const { tokens, at } = pairs.get(to) ?? { tokens: pairLimit.burst, at: now }
    const filled = Math.min(pairLimit.burst, tokens + (now - at) / pairLimit.perMs)
    pairs.set(to, { tokens: filled < 1 ? filled : filled - 1, at: now })
    if (filled >= 1) return null
    return { status: 400, code: 131056, message: 'Pair rate limit hit', details: 'Too many messages to the same user' }
  }

  /** Reports an accepted message's statuses, each until the webhook has taken it. */
  async function report(message: FakeSent, failure: number | null): Promise<void> {
    for (const status of failure === null ? fake.statuses : (['failed'] as const)) {
      const errors = [
        { code: failure, title: 'Scripted failure', message: 'Scripted failure', error_data: { details: 'scripted' } },
      ]
      await patient(
        envelope({
          statuses: [
            {
              id: message.id,
              status,
              timestamp: seconds(Date.now()),
              recipient_id: message.to,
              ...(message.opaque === null ? {} : { biz_opaque_callback_data: message.opaque }),
              ...(status === 'failed' ? { errors } : {}),
            },
          ],
        }),
      )
    }
  }

  async function patient(body: Json): Promise<void> {
    for (let wait = statusDelayMs; !closing.signal.aborted; wait = Math.min(1000, wait * 2 + 10)) {
      await sleep(wait, undefined, { signal: closing.signal }).catch(() => {})
      if (fake.webhookUrl === undefined) return
      const status = await fake.post(body).catch(() => 0) // no one listens: retried, as Meta does
      if (status >= 200 && status < 300) return
    }
  }

  function envelope(value: Json): Json {
    const metadata = { display_phone_number: '15550783881', phone_number_id: phoneNumberId }
    const change = { field: 'messages', value: { messaging_product: 'whatsapp', metadata, ...value } }
    return { object: 'whatsapp_business_account', entry: [{ id: '102290129340398', changes: [change] }] }
  }

  function receiver(): string {
    if (fake.webhookUrl === undefined) throw new Error('no webhookUrl: set it before delivering')
    return fake.webhookUrl
  }

  const fake: FakeWhatsApp = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v23.0`,
    sent,
    get requests() {
      return requests
    },
    webhookUrl: options.webhookUrl,
    statuses: options.statuses ?? ['sent', 'delivered', 'read'],
    fault: fault => void faults.push({ ...fault, left: fault.times ?? 1 }),
    async deliver(message = {}) {
      const { from = '66812345678', name = 'Somchai', userId, id = wamid(), at = Date.now(), times = 1 } = message
      heardFrom.set(userId ?? from, at)
      const who = userId === undefined ? { wa_id: from } : { user_id: userId }
      const sender = userId === undefined ? { from } : { from_user_id: userId }
      const context = message.replyTo === undefined ? {} : { context: { from: '15550783881', id: message.replyTo } }
      const body = envelope({
        contacts: [{ profile: { name }, ...who }],
        messages: [{ ...context, ...sender, id, timestamp: seconds(at), ...contentOf(message) }],
      })
      const answers: number[] = []
      for (let n = 0; n < times; n++) answers.push(await fake.post(body))
      return { id, answers }
    },
    async post(body, signature = 'good') {
      const raw = Buffer.from(typeof body === 'string' ? body : escaped(body))
      const secret = signature === 'good' ? appSecret : `not ${appSecret}`
      const digest = `sha256=${createHmac('sha256', secret).update(raw).digest('hex')}`
      const headers = {
        'content-type': 'application/json',
        ...(signature === 'none' ? {} : { 'x-hub-signature-256': digest }),
      }
      const response = await fetch(receiver(), { method: 'POST', headers, body: raw, signal: closing.signal })
      await response.arrayBuffer()
      return response.status
    },
    async subscribe(challenge) {
      const query = new URLSearchParams({ 'hub.mode': 'subscribe', 'hub.verify_token': verifyToken, 'hub.challenge': challenge })
      const response = await fetch(`${receiver()}?${query}`, { signal: closing.signal })
      return { status: response.status, body: await response.text() }
    },
    async waitFor(predicate, ms = 5000) {
      const until = Date.now() + ms
      while (!predicate(fake)) {
        if (Date.now() > until) {
          const last = sent.slice(-5).map(({ to, text }) => `to ${to}: ${text}`)
          throw new Error(`not so within ${ms} ms; ${sent.length} messages were taken, the last: ${last.join(' | ') || 'none'}`)
        }
        await sleep(10)
      }
    },
    async close() {
      closing.abort()
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return fake
}

const BAD_TOKEN: FakeError = { status: 401, code: 190, message: 'Invalid OAuth access token.', details: '' }

function unknownPath({ url, method }: IncomingMessage): FakeError {
  const message = `Unsupported ${method?.toLowerCase()} request. Object with ID '${url}' does not exist`
  return { status: 400, code: 100, message, details: '' }
}

function refuse(response: ServerResponse, { status, code, message, details }: FakeError): void {
  const error_data = { messaging_product: 'whatsapp', details }
  const error = { message: `(#${code}) ${message}`, type: 'OAuthException', code, error_data, fbtrace_id: randomId() }
  send(response, status, { error })
}

function send(response: ServerResponse, status: number, body: Json): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' }).end(JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<Json | null> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  try {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    return typeof body === 'object' ? (body as Json | null) : null
  } catch {
    return null // answered as invalid JSON
  }
}
