import { randomUUID } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { afterEach, expect, it, vi } from 'vitest'
import { describeWithStack } from '../../test/stack/vitest.ts'
import { CodecError } from '../codec.ts'
import { LogError } from '../log.ts'
import { ConfluentRegistry } from './registry.ts'

vi.setConfig({ testTimeout: 30_000 })

interface Field {
  readonly name: string
  readonly type: unknown
  readonly default?: unknown
  readonly [attribute: string]: unknown
}

const thing = (...fields: Field[]) => JSON.stringify({ type: 'record', name: 'Thing', namespace: 'test', fields })
const a: Field = { name: 'a', type: 'string' }
const b: Field = { name: 'b', type: 'int', default: 0 }

async function errorOf(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await work
  } catch (error) {
    if (error instanceof CodecError || error instanceof LogError) return error
    throw error
  }
  throw new Error('it was taken')
}

await describeWithStack('a schema registry', ({ SCHEMA_REGISTRY_URL }) => {
  const servers: Server[] = []
  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })

  const newSubject = () => `registry.${randomUUID()}-Thing`
  const registry = () => new ConfluentRegistry(SCHEMA_REGISTRY_URL)
  const versions = async (subject: string) =>
    (await (await fetch(`${SCHEMA_REGISTRY_URL}/subjects/${subject}/versions`)).json()) as number[]

  /** A server in front of the registry. @param pass whether it passes a request on, or answers with this status; 0 breaks the connection off */
  async function before(pass: (request: string) => number | null): Promise<string> {
    const server = createServer(async (request, response) => {
      const status = pass(`${request.method} ${request.url}`)
      if (status === 0) return void request.socket.destroy()
      if (status !== null) return void response.writeHead(status).end('{}')
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const { method = '', headers, url } = request
      const body = chunks.length === 0 ? null : Buffer.concat(chunks)
      const type = headers['content-type'] === undefined ? {} : { 'content-type': headers['content-type'] }
      const answer = await fetch(`${SCHEMA_REGISTRY_URL}${url}`, { method, headers: type, body })
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
    })
    servers.push(server)
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as { port: number }).port}`
  }

  it('has a subject at FULL_TRANSITIVE before its first version', async () => {
    const subject = newSubject()
    const seen: string[] = []
    const url = await before(request => {
      seen.push(request)
      return null
    })
    await new ConfluentRegistry(url).register(subject, thing(a))
    const [level, version] = [`PUT /config/${subject}`, `POST /subjects/${subject}/versions`].map(r => seen.indexOf(r))
    expect(level).toBeGreaterThanOrEqual(0)
    expect(version).toBeGreaterThan(level as number)
    const config = await (await fetch(`${SCHEMA_REGISTRY_URL}/config/${subject}`)).json()
    expect(config).toEqual({ compatibilityLevel: 'FULL_TRANSITIVE' })
  })

  it('refuses a schema that is incompatible with an earlier version, and says which subject and field', async () => {
    const subject = newSubject()
    await registry().register(subject, thing(a))
    await registry().register(subject, thing(a, b))
    for (const [schema, place] of [
      [thing({ name: 'a', type: 'int' }, b), '/fields/0/type'],
      [thing(a, b, { name: 'needed', type: 'string' }), 'needed at /fields/2'],
      // Goes with the newest version, but not with the first.
      [thing(a, { name: 'b', type: 'string', default: '' }), '/fields/1/type'],
    ] as const) {
      const { code, message } = await errorOf(registry().register(subject, schema))
      expect(code).toBe('invalid')
      expect(message).toContain(`subject ${subject} refuses this schema`)
      expect(message).toContain(place)
    }
    expect(await versions(subject)).toEqual([1, 2])
    expect((await errorOf(registry().register(newSubject(), '{"type":"record"}'))).code).toBe('invalid')
  })

  it('returns a schema as it was registered, with docs and custom attributes', async () => {
    const text = thing({ name: 'a', type: 'string', doc: 'วันที่ 🎵', personal: true }, b)
    const id = await registry().register(newSubject(), text)
    expect(await registry().schema(id)).toBe(text)
    expect(await errorOf(registry().schema(2 ** 30))).toMatchObject({ code: 'unknown_schema' })
  })

  it('that cannot be reached, or fails, is `unavailable`', async () => {
    const nowhere = new ConfluentRegistry('http://user:secret@127.0.0.1:1')
    for (const asked of [nowhere.register(newSubject(), thing(a)), nowhere.schema(1)]) {
      const { code, message } = await errorOf(asked)
      expect(code).toBe('unavailable')
      expect(message).toContain('http://127.0.0.1:1')
      expect(message).not.toContain('secret')
    }
    for (const broken of ['GET /config', 'PUT /config', 'POST /subjects', 'GET /schemas']) {
      const failing = new ConfluentRegistry(await before(request => (request.startsWith(broken) ? 503 : null)))
      const asked = broken === 'GET /schemas' ? failing.schema(1) : failing.register(newSubject(), thing(a))
      expect((await errorOf(asked)).code, broken).toBe('unavailable')
    }
  })

  it('that ends half way through a registration is `unavailable`', async () => {
    const ending = new ConfluentRegistry(await before(request => (request.startsWith('POST') ? 0 : null)))
    expect((await errorOf(ending.register(newSubject(), thing(a)))).code).toBe('unavailable')
  })

  it('finds an existing schema for many that register it at the same time', async () => {
    const subject = newSubject()
    const first = await registry().register(subject, thing(a))
    const ids = await Promise.all(Array.from({ length: 4 }, () => registry().register(subject, thing(a))))
    expect(new Set([first, ...ids]).size).toBe(1)
    expect(await versions(subject)).toEqual([1])
  })

  it('registers one schema once for many at the same time, and all compatible ones', async () => {
    const subject = newSubject()
    const ids = await Promise.all(Array.from({ length: 4 }, () => registry().register(subject, thing(a))))
    expect(new Set(ids).size).toBe(1)
    const more = await Promise.all(
      ['b', 'c', 'd'].map(name => registry().register(subject, thing(a, { name, type: 'int', default: 0 }))),
    )
    expect(new Set([...ids, ...more]).size).toBe(4)
    // The registry itself may keep a schema twice, under one id, where several brought it at once.
    expect((await versions(subject)).length).toBeGreaterThanOrEqual(4)
  })
})
