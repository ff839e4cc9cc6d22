/** A proxy in front of the schema registry, and records of a newer version of the code, whose schemas only the registry has. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import avro from 'avsc'
import { recordSchema } from '../../schemas/index.ts'
import type { TrialInput } from '../../schemas/types.ts'
import { ConfluentRegistry } from '../../topics/kafka/registry.ts'

/** How the registry fails. `missing`: it answers, but does not know the newest schemas. */
export type Outage = 'refuses' | 'hangs' | 'fails' | 'missing'

export interface RegistryProxy {
  readonly url: string
  /** Requests that were answered with an error or not at all. */
  readonly hits: number
  /** Starts an outage. @param id of the schema that it does not know @returns ends it */
  fail(how: Outage, id: number): Promise<() => Promise<void>>
  close(): Promise<void>
}

export async function startRegistryProxy(url: string): Promise<RegistryProxy> {
  let how: Outage | null = null
  let unknown = -1
  let hits = 0
  const sockets = new Set<Socket>()
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = 'GET', url: path = '/' } = request
    const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>))
    if (how === 'hangs' || how === 'fails' || (how === 'missing' && path.endsWith(`/schemas/ids/${unknown}`))) {
      hits++
      if (how === 'hangs') return
      response.writeHead(how === 'fails' ? 500 : 404, { 'content-type': 'application/vnd.schemaregistry.v1+json' })
      response.end(JSON.stringify(how === 'fails' ? { error_code: 50001, message: 'error in the store' } : NOT_FOUND))
      return
    }
    const { accept, 'content-type': type } = request.headers
    const found = await fetch(new URL(path, url), {
      method,
      headers: { ...(accept === undefined ? {} : { accept }), ...(type === undefined ? {} : { 'content-type': type }) },
      ...(body.length === 0 ? {} : { body }),
    })
    response.writeHead(found.status, { 'content-type': found.headers.get('content-type') ?? 'application/json' })
    response.end(Buffer.from(await found.arrayBuffer()))
  }
  let server: Server
  const listen = (port: number) =>
    new Promise<number>(resolve => {
      server = createServer((request, response) => {
        answer(request, response).catch(() => response.destroy())
      })
      server.on('connection', socket => {
        sockets.add(socket)
        socket.on('close', () => sockets.delete(socket))
      })
      server.listen(port, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
    })
  const shut = () =>
    new Promise<void>(resolve => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  const port = await listen(0)
  const proxied = new URL(url)
  proxied.port = String(port)
  return {
    url: proxied.href,
    get hits() {
      return hits
    },
    fail: async (as, id) => {
      how = as
      unknown = id
      if (as === 'refuses') await shut()
      return async () => {
        how = null
        if (as === 'refuses') await listen(port)
        // Clients that were left hanging ask again.
        else for (const socket of sockets) socket.destroy()
      }
    },
    close: shut,
  }
}

const NOT_FOUND = { error_code: 40403, message: 'No content with id was found.' }

/** Writes trial inputs by newer versions of their schema, each compatible with all others. */
export class NewerWriter {
  readonly #registry: ConfluentRegistry
  readonly #subject: string
  #versions = 0

  /** @param registry address without the proxy: the writer is not affected by outages */
  constructor(registry: string, subject: string) {
    this.#registry = new ConfluentRegistry(registry)
    this.#subject = subject
  }

  /** Registers another version. @returns its id, and how to write by it */
  async version(): Promise<{ id: number; encode: (input: TrialInput) => Buffer }> {
    const present = recordSchema('TrialInput').text
    if (this.#versions === 0) await this.#registry.register(this.#subject, present)
    const number = this.#versions++
    const schema = JSON.parse(present)
    schema.fields.push({ name: `note${number}`, type: 'string', default: '', doc: `Of ${this.#subject}.` })
    const text = JSON.stringify(schema)
    const id = await this.#registry.register(this.#subject, text)
    const type = avro.Type.forSchema(JSON.parse(text))
    const head = Buffer.alloc(5)
    head.writeUInt32BE(id, 1)
    return { id, encode: input => Buffer.concat([head, type.toBuffer({ ...input, [`note${number}`]: `newer ${number}` })]) }
  }
}
