/**
 * The page at `/`: a phone to write from as a venue's staff member, beside a live view of the venue's zones and the records as
 * they flow. One stream of server-sent events brings all of it.
 */
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { type Static, Type } from 'typebox'
import type { FakeSoundtrack } from '../connectors/soundtrack/fake.ts'
import type { Fault } from '../connectors/soundtrack/fake-faults.ts'
import { type LiveZone, settle } from '../connectors/soundtrack/fake-world.ts'
import type { FakeWhatsApp } from '../connectors/whatsapp/fake.ts'
import type { Codec } from '../topics/codec.ts'
import type { Log } from '../topics/log.ts'
import { brief, SHOWN, short } from './brief.ts'
import { guard } from './guard.ts'
import { type DemoWorld, personas } from './world.ts'

export interface DemoPageOptions {
  readonly log: Log
  readonly codec: Codec
  readonly world: DemoWorld
  readonly soundtrack: FakeSoundtrack
  readonly whatsapp: FakeWhatsApp
  /** Sets the flapping zones again after a fault was healed. */
  readonly flap: () => void
  /** Requests that are answered in a minute; the usual number where absent. */
  readonly mostAMinute?: number
}

const FAULTS: Readonly<Record<string, Fault | null>> = {
  normal: null,
  down: { kind: 'status', status: 503 },
  slow: { kind: 'latency', ms: 30_000 },
  rate_limited: { kind: 'rate_limited' },
  no_permission: { kind: 'forbidden' },
  no_effect: { kind: 'no_effect' },
}

const Message = Type.Object({
  persona: Type.String({ maxLength: 40 }),
  text: Type.String({ minLength: 1, maxLength: 4096 }),
  /** Id of the button or row pressed. */
  action: Type.Optional(Type.String({ maxLength: 256 })),
})
const FaultChoice = Type.Object({ fault: Type.Enum(Object.keys(FAULTS)) })

const HEADERS = {
  'content-security-policy':
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
}
const HEARTBEAT_MS = 15_000
const ZONES_MS = 500
/** A page that does not keep up loses records, not the connection. */
const MAX_WAITING_BYTES = 256 * 1024
/** Pages that are open at once: each follows every topic. */
const MAX_STREAMS = 8

export async function demoPage(app: FastifyInstance, options: DemoPageOptions): Promise<void> {
  await app.register(async scope => {
    await guard(scope, options.mostAMinute)
    await routes(scope, options)
  })
}

async function routes(app: FastifyInstance, options: DemoPageOptions): Promise<void> {
  const { world, soundtrack, whatsapp, flap } = options
  const people = personas(world)
  let fault = 'normal'
  let streams = 0

  await app.register(fastifyStatic, {
    root: join(import.meta.dirname, 'page'),
    setHeaders: reply => {
      for (const [name, value] of Object.entries(HEADERS)) reply.header(name, value)
    },
  })

  app.get('/demo/personas', async () => people.map(({ id, name, about, venue }) => ({ id, name, about, venue: venue.name })))

  app.post('/demo/messages', { schema: { body: Message } }, async (request, reply) => {
    const { persona, text, action } = request.body as Static<typeof Message>
    const person = people.find(p => p.id === persona)
    if (person === undefined) return reply.code(404).send({ detail: `no persona "${persona}"` })
    const { from, name } = person
    const pressed = action === undefined ? { text } : { button: { id: action, title: text } }
    const { answers } = await whatsapp.deliver({ from, name, ...pressed })
    return { webhook: answers[0] }
  })

  app.post('/demo/faults', { schema: { body: FaultChoice } }, async request => {
    fault = (request.body as Static<typeof FaultChoice>).fault
    soundtrack.heal()
    flap()
    const wanted = FAULTS[fault]
    if (wanted) soundtrack.fault(wanted)
    return { fault }
  })

  app.get('/demo/stream', async (request, reply) => {
    const { persona } = request.query as { persona?: string }
    const person = people.find(p => p.id === persona) ?? people[0]
    if (streams >= MAX_STREAMS) return reply.code(429).send({ detail: `${MAX_STREAMS} pages are open: close one` })
    streams++
    const stream = new Stream(reply)
    let shown = whatsapp.sent.length
    let zonesShown = ''
    const zonesOf = () => person.venue.zones.map(({ id }) => zoneView(soundtrack.zones.get(id) as LiveZone))
    const look = () => {
      for (const { to, text, choices, id } of whatsapp.sent.slice(shown)) {
        if (to === person.from) stream.send('message', { id, text, choices })
      }
      shown = whatsapp.sent.length
      const zones = JSON.stringify({ venue: person.venue.name, fault, zones: zonesOf() })
      if (zones !== zonesShown) stream.send('zones', JSON.parse(zones))
      zonesShown = zones
    }
    const timer = setInterval(look, ZONES_MS / 5)
    const heartbeat = setInterval(() => stream.comment(), HEARTBEAT_MS)
    look()
    const ending = new AbortController()
    request.raw.socket.once('close', () => {
      clearInterval(timer)
      clearInterval(heartbeat)
      streams--
      ending.abort()
    })
    await Promise.all(SHOWN.map(topic => follow(options, topic.name, stream, ending.signal)))
    return reply
  })
}

/** Sends the records of a topic as they come, from now on. */
async function follow({ log, codec }: DemoPageOptions, topic: string, stream: Stream, signal: AbortSignal): Promise<void> {
  const ends = await log.ends(topic)
  for (const { partition, high } of ends) {
    const at = { topic, partition }
    const run = async () => {
      for (let next = high; !signal.aborted; ) {
        const read = await log.read(at, next, { wait: 5_000 })
        next = read.next
        await codec.prepare(read.records)
        for (const { key, value, offset } of read.records) {
          if (value === null) continue
          const { type, value: record } = codec.decode(value)
          stream.send('record', { topic, offset, key: short(key ?? ''), type, fields: brief(type, record) })
        }
      }
    }
    run().catch(() => stream.end()) // the log has closed, or a record is not for this page: the page connects again
  }
}

class Stream {
  readonly #reply: FastifyReply
  constructor(reply: FastifyReply) {
    this.#reply = reply
    reply.hijack()
    reply.raw.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  }
  send(event: string, data: object): void {
    if (this.#reply.raw.writableLength > MAX_WAITING_BYTES) return
    this.#reply.raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  }
  comment(): void {
    this.#reply.raw.write(': still here\n\n')
  }
  end(): void {
    this.#reply.raw.end()
  }
}

function zoneView(zone: LiveZone) {
  settle(zone, Date.now())
  const { name, kind, online, playing, volume, playlist, tracks, track } = zone
  return { name, kind, online, playing, volume, playlist, track: tracks[track]?.title ?? '' }
}
