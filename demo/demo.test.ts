import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastify from 'fastify'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parseSheet } from '../connectors/sheets/csv.ts'
import { verifySignature } from '../connectors/whatsapp/webhook.ts'
import { allTopics, auditLog, deadLetters, venueEvents } from '../topics/catalog.ts'
import { Codec } from '../topics/codec.ts'
import { type LocalLog, openLocalLog } from '../topics/local/log.ts'
import { brief, SHOWN, short } from './brief.ts'
import { type Demo, startDemo } from './demo.ts'
import { demoWorld, personas, venuesCsv } from './world.ts'

describe('the invented world', () => {
  const world = demoWorld()

  it('has 200 venues and 500 zones, in every state a zone can be in', () => {
    const zones = world.venues.flatMap(v => v.zones)
    expect(world.venues).toHaveLength(200)
    expect(new Set(zones.map(z => z.id)).size).toBe(500)
    expect(new Set(zones.map(z => z.kind))).toEqual(
      new Set(['normal', 'offline', 'trial', 'unpaired', 'expired', 'muted', 'no_device']),
    )
    expect(personas(world)[0].venue.zones.every(z => z.kind === 'normal')).toBe(true)
  })

  it('writes a sheet that is taken whole, with accounts and locations that exist', () => {
    const { rows, refusals } = parseSheet(venuesCsv(world))
    expect(refusals).toEqual([])
    expect(rows).toHaveLength(200)
    const accounts = new Map(world.soundtrack.accounts.map(a => [a.id, a.locations.map(l => l.id)]))
    for (const { soundtrackAccount, soundtrackLocation } of rows) {
      expect(accounts.has(soundtrackAccount as string)).toBe(true)
      if (soundtrackLocation) expect(accounts.get(soundtrackAccount as string)).toContain(soundtrackLocation)
    }
    expect(rows.filter(r => r.soundtrackLocation).length).toBe(70)
  })
})

describe('the page', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'demo-'))
  const app = fastify()
  const webhooks: { body: Buffer; signature: string }[] = []
  const receiver = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>))
    webhooks.push({ body, signature: String(request.headers['x-hub-signature-256']) })
    response.end()
  })
  let demo: Demo
  let log: LocalLog
  let codec: Codec
  let url = ''

  beforeAll(async () => {
    log = await openLocalLog({ file: join(dataDir, 'log.sqlite'), topics: allTopics() })
    codec = await Codec.open(log, allTopics())
    demo = await startDemo({ dataDir })
    await demo.page({ log, codec })(app)
    url = await app.listen({ port: 0, host: '127.0.0.1' })
    await new Promise<void>(resolve => receiver.listen(0, '127.0.0.1', resolve))
    demo.connect(`http://127.0.0.1:${(receiver.address() as { port: number }).port}`)
  })

  afterAll(async () => {
    app.server.closeAllConnections() // also those that `fetch` made and then had no use for
    await Promise.all([app.close(), demo.close(), log.close()])
    receiver.closeAllConnections()
    receiver.close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  const post = (path: string, body: object) =>
    fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

  it('is served with its files, under a strict policy', async () => {
    for (const path of ['/', '/app.js', '/style.css']) {
      const response = await fetch(url + path)
      expect(response.status, path).toBe(200)
      expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'self'/)
    }
    expect(readFileSync(demo.environment.VENUES_CSV as string, 'utf8').split('\n')).toHaveLength(202)
  })

  it('sends what a persona writes as a signed webhook', async () => {
    expect(await (await post('/demo/messages', { persona: 'contact', text: 'too loud' })).json()).toEqual({ webhook: 200 })
    const { body, signature } = webhooks.at(-1) as { body: Buffer; signature: string }
    expect(verifySignature(demo.environment.WHATSAPP_APP_SECRET as string, body, signature)).toBe(true)
    expect(JSON.parse(body.toString()).entry[0].changes[0].value.messages[0]).toMatchObject({
      from: '66800000001',
      text: { body: 'too loud' },
    })
  })

  /** As a browser would ask that was told another name or sent by another page: `fetch` does not let us. */
  const asking = (path: string, headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const { port } = new URL(url)
      const sent = request({ host: '127.0.0.1', port, path, headers }, response => {
        response.resume()
        resolve(response.statusCode as number)
      })
      sent.once('error', reject).end()
    })

  it('answers neither another name for this machine nor a page of another site', async () => {
    const { host } = new URL(url)
    for (const path of ['/', '/demo/personas', '/demo/stream', '/app.js']) {
      expect(await asking(path, { host: 'rebound.example.com' }), path).toBe(403)
      expect(await asking(path, { host: `${host}.example.com` }), path).toBe(403)
      expect(await asking(path, { host, origin: 'https://example.com' }), path).toBe(403)
      expect(await asking(path, { host, 'x-forwarded-for': '192.0.2.1' }), 'through a proxy here').toBe(403)
    }
    expect(await asking('/demo/personas', { host, origin: `http://${host}` })).toBe(200)
    expect(await asking('/demo/personas', { host: host.replace('127.0.0.1', 'localhost') })).toBe(200)
  })

  it('opens only so many streams', async () => {
    const open = () => {
      const ending = new AbortController()
      return fetch(`${url}/demo/stream`, { signal: ending.signal }).then(({ status }) => ({ status, ending }))
    }
    const streams = await Promise.all(Array.from({ length: 9 }, open))
    expect(streams.map(({ status }) => status).sort()).toEqual([...Array.from({ length: 8 }, () => 200), 429])
    for (const { ending } of streams) ending.abort()
    await vi.waitFor(async () => {
      const { status, ending } = await open()
      ending.abort()
      expect(status).toBe(200)
    })
  })

  it('answers only so many requests a minute', async () => {
    const app = fastify()
    await demo.page({ log, codec, mostAMinute: 3 })(app)
    const statuses = []
    for (let n = 0; n < 4; n++)
      statuses.push(
        (await app.inject({ url: '/demo/personas', remoteAddress: '127.0.0.1', headers: { host: 'localhost' } })).statusCode,
      )
    expect(statuses).toEqual([200, 200, 200, 429])
    expect(
      (await app.inject({ url: '/demo/personas', remoteAddress: '192.0.2.1', headers: { host: 'localhost' } })).statusCode,
    ).toBe(403)
    await app.close()
  })

  it('shows nothing of who uses the API', () => {
    expect(SHOWN.map(({ name }) => name)).not.toContain(auditLog.name)
    expect(SHOWN.map(({ name }) => name)).not.toContain(deadLetters.name)
    const action = { id: 'a', by: 'crm-7', assignee: 'k', kind: 'NOTE', note: 'x', at: 1 } as never
    expect(brief('AgentAction', action)).toMatchObject({ by: '•••', assignee: '•••', at: 1 })
    expect(brief('VenueEvent', { id: 'e', detail: 'by Lek <lek@crm.example.com>!' } as never).detail).toBe('by Lek <•••>!')
    expect(short('main:lek@example.com')).toBe('main:•••')
  })

  it('refuses what it does not know', async () => {
    expect((await post('/demo/messages', { persona: 'nobody', text: 'x' })).status).toBe(404)
    expect((await post('/demo/messages', { persona: 'contact' })).status).toBe(400)
    expect((await post('/demo/faults', { fault: 'meteor' })).status).toBe(400)
    expect((await post('/demo/faults', { fault: 'down' })).status).toBe(200)
    const down = await fetch(demo.environment.SOUNDTRACK_API_URL as string, {
      method: 'POST',
      headers: { authorization: `Basic ${demo.environment.SOUNDTRACK_API_TOKEN}` },
      body: '{"query":"{me{__typename}}"}',
    })
    expect(down.status).toBe(503)
    expect((await post('/demo/faults', { fault: 'normal' })).status).toBe(200)
  })

  it('streams the zones and the records as they come, without personal data', async () => {
    const ending = new AbortController()
    const response = await fetch(`${url}/demo/stream?persona=contact`, { signal: ending.signal })
    const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const until = async (what: string) => {
      while (!text.includes(what)) text += (await reader.read()).value ?? ''
    }
    await until('"name":"Lobby"')
    const value = codec.encode(venueEvents.name, 'VenueEvent', { id: 'e1', venue: 'main:1', kind: 'CHANGED', at: 1 })
    const personal = codec.encode('conversation.inbox', 'ChatMessage', {
      id: 'wamid.1',
      channel: 'whatsapp',
      account: 'a',
      chat: '66811111111',
      sender: { id: '66811111111' },
      kind: 'TEXT',
      text: 'secret words',
      sentAt: 1,
      receivedAt: 1,
    })
    await log.append([
      { topic: 'conversation.inbox', key: 'main:c', value: personal },
      { topic: venueEvents.name, key: 'main:1', value },
    ])
    await until('ChatMessage')
    await until('VenueEvent')
    expect(text).not.toMatch(/secret words|66811111111/)
    ending.abort()
  })
})
