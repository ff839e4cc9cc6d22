/**
 * The turn: from the first byte of a signed webhook to the provider's receipt of the reply, at a steady rate, through the whole
 * service as a process of its own. Beside it a bare server that answers the same webhooks by calling the provider at once: what
 * the two HTTP hops cost without a log, a dialogue or a promise.
 */
import { createHmac } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { join } from 'node:path'
import { startService, until } from '../test/service/harness.ts'
import { type Written, writtenSince } from './written.ts'

export interface Latencies {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

const RATE = 100
export const WARM_UP = 300

export async function benchTurn({
  messages = 3_000,
  env = {} as Record<string, string>,
  rate = RATE,
} = {}): Promise<{ turn: Latencies; direct: Latencies; messages: number; written: Written | null }> {
  const provider = await startProvider()
  const service = await startService({ env: { WHATSAPP_API_URL: provider.url, LOG_LEVEL: 'error', ...env } })
  let turn: Latencies
  let written: Written | null = null
  try {
    const began = Date.now()
    turn = await write(`${service.url}/webhooks/whatsapp`, provider, { messages, perSecond: rate })
    // A log elsewhere is counted elsewhere.
    if (!('KAFKA_BROKERS' in env)) {
      await service.terminate()
      written = await writtenSince(join(service.folder, 'data'), began)
    }
  } finally {
    await service.close()
  }
  const bare = await startBare(provider.url)
  const direct = await write(bare.url, provider, { messages, perSecond: rate })
  await Promise.all([bare.close(), provider.close()])
  return { turn, direct, messages, written }
}

export interface Writing {
  readonly messages: number
  readonly perSecond?: number
  /** Written before anything is measured. */
  readonly warmUp?: number
  readonly text?: (n: number) => string
  /** How long the last replies may take. */
  readonly ms?: number
}

/** Strangers, each with one message, that has exactly one reply. */
export async function write(
  url: string,
  provider: Provider,
  { messages, perSecond = RATE, warmUp = WARM_UP, text = n => `Hello ${n}`, ms = 30_000 }: Writing,
): Promise<Latencies> {
  provider.received.clear()
  const sent = new Map<string, number>()
  const began = performance.now()
  for (let n = 0; n < messages + warmUp; n++) {
    const due = began + (n * 1000) / perSecond
    if (due > performance.now()) await sleep(due - performance.now())
    const from = String(66_700_000_000 + Math.floor(Math.random() * 1e6) * 10_000 + n)
    sent.set(from, performance.now())
    void deliver(url, { from, id: `wamid.${from}`, text: text(n) })
  }
  await until(
    () => [...sent.keys()].every(from => provider.received.has(from)),
    ms,
    () => `replies to all: not to ${[...sent.keys()].filter(from => !provider.received.has(from)).join(', ')}`,
  )
  const latencies = [...sent].slice(warmUp).map(([from, at]) => (provider.received.get(from) as number) - at)
  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] as number
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

export interface Message {
  readonly from: string
  readonly id: string
  readonly text: string
}

/** A signed webhook with one message. @throws when it is not taken */
export async function deliver(url: string, { from, id, text }: Message): Promise<void> {
  const message = { from, id, timestamp: String(Math.floor(Date.now() / 1000)), type: 'text', text: { body: text } }
  const contacts = [{ profile: { name: 'Guest' }, wa_id: from }]
  const metadata = { display_phone_number: '15550783881', phone_number_id: '106540352242922' }
  const value = { messaging_product: 'whatsapp', metadata, contacts, messages: [message] }
  const body = JSON.stringify({
    object: 'whatsapp_business_account',
    entry: [{ id: '1', changes: [{ field: 'messages', value }] }],
  })
  const signature = `sha256=${createHmac('sha256', 'app-secret').update(body).digest('hex')}`
  const headers = { 'content-type': 'application/json', 'x-hub-signature-256': signature }
  const response = await fetch(url, { method: 'POST', body, headers })
  await response.text()
  if (!response.ok) throw new Error(`a webhook was answered with ${response.status}`)
}

export interface Provider {
  readonly url: string
  /** When the first message to each user came in. */
  readonly received: Map<string, number>
  close(): Promise<void>
}

/** A provider that takes every message and notes when. @param taken is told to whom each was */
export async function startProvider(taken: (to: string) => void = () => {}): Promise<Provider> {
  const received = new Map<string, number>()
  let messages = 0
  const server = createServer((request, response) => {
    const at = performance.now()
    let text = ''
    request.on('data', chunk => (text += chunk))
    request.on('end', () => {
      const { to } = JSON.parse(text) as { to: string }
      if (!received.has(to)) received.set(to, at)
      taken(to)
      const id = `wamid.out.${messages++}`
      const body = { messaging_product: 'whatsapp', contacts: [{ input: to, wa_id: to }], messages: [{ id }] }
      response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
    })
  })
  return { received, ...(await listen(server)) }
}

async function startBare(providerUrl: string): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', chunk => (text += chunk))
    request.on('end', () => {
      response.end()
      const { entry } = JSON.parse(text) as { entry: { changes: { value: { messages: { from: string }[] } }[] }[] }
      const to = entry[0]?.changes[0]?.value.messages[0]?.from
      const body = JSON.stringify({ messaging_product: 'whatsapp', to, type: 'text', text: { body: 'Hello' } })
      void fetch(`${providerUrl}/1/messages`, { method: 'POST', body, headers: { 'content-type': 'application/json' } }).then(r =>
        r.text(),
      )
    })
  })
  return listen(server)
}

function listen(server: Server): Promise<{ url: string; close(): Promise<void> }> {
  return new Promise(resolve => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      const close = async () => {
        server.closeAllConnections()
        await new Promise<void>(done => server.close(() => done()))
      }
      resolve({ url: `http://127.0.0.1:${port}`, close })
    })
  })
}
