/**
 * Confluent Schema Registry. A subject gets FULL_TRANSITIVE before its first version, so that code with any version of a schema can read
 * and write. The client library sets the level only after the first version, and returns schemas as types, without docs and custom
 * attributes; so these two requests are made here.
 */
import { COMPATIBILITY, SchemaRegistry as Client, SchemaType } from '@kafkajs/confluent-schema-registry'
import { CodecError, type SchemaRegistry } from '../codec.ts'
import { LogError } from '../log.ts'
import { sleep } from './retry.ts'

const TIMEOUT_MS = 10_000
const MAX_ATTEMPTS = 6
const LEVEL = COMPATIBILITY.FULL_TRANSITIVE
const CONTENT_TYPE = 'application/vnd.schemaregistry.v1+json'

export class ConfluentRegistry implements SchemaRegistry {
  readonly #client: Client
  /** Base address without user and password. */
  readonly #host: string
  readonly #headers: Readonly<Record<string, string>>

  /** @param url base address; user and password may be part of it */
  constructor(url: string) {
    const { username, password, protocol, host, pathname } = new URL(url)
    this.#host = `${protocol}//${host}${pathname.replace(/\/$/, '')}`
    const auth = username === '' ? undefined : { username: decodeURIComponent(username), password: decodeURIComponent(password) }
    this.#client = new Client({ host: this.#host, ...(auth === undefined ? {} : { auth }), retry: { retries: 2 } })
    const headers: Record<string, string> = { accept: CONTENT_TYPE, 'content-type': CONTENT_TYPE }
    if (auth !== undefined) headers.authorization = `Basic ${btoa(`${auth.username}:${auth.password}`)}`
    this.#headers = headers
  }

  /** @throws {CodecError} `invalid` when the subject refuses it; {LogError} `unavailable` */
  async register(subject: string, schema: string): Promise<number> {
    const config = `/config/${encodeURIComponent(subject)}`
    if ((await this.#request('GET', config)).status === 404) {
      const set = await this.#request('PUT', config, { compatibility: LEVEL })
      // 409: another process has just set the level.
      if (!set.ok && set.status !== 409)
        throw await this.#refused(`cannot set the compatibility level of subject ${subject} to ${LEVEL}`, set)
    }
    for (let attempts = 1; ; attempts++) {
      try {
        const { id } = await this.#client.register({ type: SchemaType.AVRO, schema }, { subject, compatibility: LEVEL })
        return id
      } catch (error) {
        const { status, message } = error as Error & { status?: number }
        // Incompatible, or another process was faster: the next attempt finds what that process has registered.
        if (status === 409 && attempts < MAX_ATTEMPTS) {
          await sleep(attempts * 20 + Math.random() * 50)
          continue
        }
        // The client library reports 400 when there was no answer.
        if (status !== undefined && (status === 400 || status >= 500)) throw this.#unreachable(error)
        throw new CodecError('invalid', `subject ${subject} refuses this schema: ${message}`, { cause: error })
      }
    }
  }

  /** @throws {CodecError} `unknown_schema`; {LogError} `unavailable` */
  async schema(id: number): Promise<string> {
    const found = await this.#request('GET', `/schemas/ids/${id}`)
    if (!found.ok) throw await this.#refused(`no schema ${id}`, found)
    return ((await found.json()) as { schema: string }).schema
  }

  async #request(method: string, path: string, body?: object): Promise<Response> {
    let response: Response
    try {
      response = await fetch(`${this.#host}${path}`, {
        method,
        headers: this.#headers,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    } catch (error) {
      throw this.#unreachable(error)
    }
    if (response.status >= 500) throw this.#unreachable(new Error(`it answered with status ${response.status}`))
    return response
  }

  async #refused(what: string, response: Response): Promise<CodecError> {
    return new CodecError(
      'unknown_schema',
      `${what} in the registry at ${this.#host}: ${response.status} ${await response.text()}`,
    )
  }

  #unreachable(cause: unknown): LogError {
    const { message } = cause as Error
    return new LogError('unavailable', `the schema registry at ${this.#host} cannot be reached: ${message}`, { cause })
  }
}
