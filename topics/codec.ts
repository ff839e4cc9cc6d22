/**
 * Encodes and decodes records in Confluent's wire format: a zero byte, the schema id in four bytes, Avro. A topic may carry several
 * record types; each has its own subject, `<topic>-<record>`, and the name of its schema identifies the type.
 */
import type avro from 'avsc'
import { isRecordName, parse, recordSchema } from '../schemas/index.ts'
import type { RecordInputs, RecordName, Records } from '../schemas/types.ts'
import type { Topic } from './catalog.ts'
import type { LogRecord } from './log.ts'

/** Gives schemas their ids. */
export interface SchemaRegistry {
  /** The id of this schema under this subject; a new one is registered. @throws when it is incompatible. */
  register(subject: string, schema: string): Promise<number>
  /** The text of a schema. @throws when no schema has this id. */
  schema(id: number): Promise<string>
}

export type Decoded = { [N in RecordName]: { readonly type: N; readonly value: Records[N] } }[RecordName]

export class CodecError extends Error {
  readonly code: 'not_wire_format' | 'unknown_schema' | 'unknown_record' | 'incompatible' | 'invalid' | 'not_of_topic'
  constructor(code: CodecError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CodecError'
    this.code = code
  }
}

/** The schema of a writer, and how this code reads what it wrote. */
interface WriterSchema {
  readonly name: string
  readonly text: string
  readonly fingerprint: string
  /** Null when this code has no such record type. */
  readonly decode: ((value: Buffer) => unknown) | null
}

const HEADER_BYTES = 5
/** Encoded records share slabs of this size: allocating memory for each would cost as much as encoding it. */
const SLAB_BYTES = 128 * 1024

export class Codec {
  readonly #registry: SchemaRegistry
  readonly #ids = new Map<string, number>()
  readonly #schemas = new Map<number, WriterSchema>()
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  /** Bytes of the slab that are in use. */
  #used = 0

  private constructor(registry: SchemaRegistry) {
    this.#registry = registry
  }

  /** Registers the schemas of these topics. */
  static async open(registry: SchemaRegistry, topics: readonly Topic[]): Promise<Codec> {
    const codec = new Codec(registry)
    await Promise.all(topics.map(topic => codec.add(topic)))
    return codec
  }

  async add(topic: Topic): Promise<void> {
    const add = async (name: RecordName) => {
      const id = await this.#registry.register(`${topic.name}-${name}`, recordSchema(name).text)
      this.#ids.set(`${topic.name}-${name}`, id)
      if (!this.#schemas.has(id)) this.#schemas.set(id, writerSchema(recordSchema(name).text))
    }
    await Promise.all(topic.records.map(add))
  }

  /** @throws {CodecError} when the topic does not carry the type, or the value does not match its schema (naming the field and value) */
  encode<N extends RecordName>(topic: string, name: N, value: RecordInputs[N]): Buffer {
    const id = this.#ids.get(`${topic}-${name}`)
    if (id === undefined) throw new CodecError('not_of_topic', `topic ${topic} does not carry ${name}`)
    const { type } = recordSchema(name)
    try {
      let end = type.encode(value, this.#slab, this.#used + HEADER_BYTES)
      if (end < 0) {
        const missing = -end
        this.#renew(this.#slab.length - this.#used + missing)
        end = type.encode(value, this.#slab, HEADER_BYTES)
      }
      return this.#take(id, end - this.#used)
    } catch (error) {
      throw new CodecError('invalid', `${name} does not match its schema: ${whatIsWrong(type, value)}`, { cause: error })
    }
  }

  /** Wraps raw Avro, written with the current schema of the record, in wire format. */
  wrap(topic: string, name: RecordName, raw: Buffer): Buffer {
    const id = this.#ids.get(`${topic}-${name}`)
    if (id === undefined) throw new CodecError('not_of_topic', `topic ${topic} does not carry ${name}`)
    const bytes = HEADER_BYTES + raw.length
    if (this.#used + bytes > this.#slab.length) this.#renew(bytes)
    this.#slab.set(raw, this.#used + HEADER_BYTES)
    return this.#take(id, bytes)
  }

  #renew(bytes: number): void {
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes))
    this.#used = 0
  }

  /** The record that was just encoded at the end of the slab. */
  #take(id: number, bytes: number): Buffer {
    const wire = this.#slab.subarray(this.#used, this.#used + bytes)
    this.#used += bytes
    wire[0] = 0
    wire.writeUInt32BE(id, 1)
    return wire
  }

  /** The raw Avro of a record in wire format, and the fingerprint of the writer's schema. */
  unwrap(value: Buffer): { name: string; fingerprint: string; raw: Buffer } {
    const { name, fingerprint } = this.#schemaFor(value)
    return { name, fingerprint, raw: value.subarray(HEADER_BYTES) }
  }

  /** Text of the writer's schema. */
  schemaOf(value: Buffer): string {
    return this.#schemaFor(value).text
  }

  /**
   * @throws {CodecError} `unknown_schema` when `prepare` has not fetched the schema, `unknown_record` when this code has no such type
   * (a newer version wrote it), `incompatible` when it has but cannot read what that schema wrote, `not_wire_format` or `invalid` when
   * the bytes are damaged.
   */
  decode(value: Buffer): Decoded {
    const { name, decode } = this.#schemaFor(value)
    if (decode === null) throw new CodecError('unknown_record', `no record type "${name}" in this version of the code`)
    try {
      return { type: name, value: decode(value) } as Decoded
    } catch (error) {
      if (error instanceof CodecError) throw error
      throw new CodecError('invalid', `bytes are not a ${name}: ${(error as Error).message}`, { cause: error })
    }
  }

  /** The record type's name, whether this code knows it or not. */
  typeOf(value: Buffer): string {
    return this.#schemaFor(value).name
  }

  /** Index of the first of these records whose schema `prepare` must still fetch; -1 if there is none. */
  unprepared(records: readonly LogRecord[]): number {
    return records.findIndex(({ value }) => {
      return value !== null && value.length >= HEADER_BYTES && value[0] === 0 && !this.#schemas.has(value.readUInt32BE(1))
    })
  }

  /** Fetches the schemas of records that other versions of the code wrote. @throws what the registry throws */
  async prepare(records: readonly Pick<LogRecord, 'value'>[]): Promise<void> {
    for (const { value } of records) {
      if (value === null || value.length < HEADER_BYTES || value[0] !== 0) continue
      const id = value.readUInt32BE(1)
      if (!this.#schemas.has(id)) this.#schemas.set(id, writerSchema(await this.#registry.schema(id)))
    }
  }

  /** Like `prepare`, but a schema that the registry does not know holds up none of the others. @throws what else the registry throws */
  async prepareKnown(records: readonly LogRecord[]): Promise<void> {
    for (let left = records; left.length > 0; ) {
      try {
        return await this.prepare(left)
      } catch (error) {
        if (!(error instanceof CodecError)) throw error
        left = left.slice(this.unprepared(left) + 1)
      }
    }
  }

  #schemaFor(value: Buffer): WriterSchema {
    if (value.length < HEADER_BYTES || value[0] !== 0) {
      throw new CodecError('not_wire_format', `${value.length} bytes that do not start with 00 and a schema id`)
    }
    const id = value.readUInt32BE(1)
    const found = this.#schemas.get(id)
    if (found === undefined) throw new CodecError('unknown_schema', `schema ${id} has not been fetched`)
    return found
  }
}

function writerSchema(text: string): WriterSchema {
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse(text)
  } catch {
    // Not an Avro record: this code has no type for it.
    return { name: '', text, fingerprint: '', decode: null }
  }
  const { type: writer, fingerprint } = parsed
  const name = (writer.name ?? '').slice((writer.name ?? '').lastIndexOf('.') + 1)
  if (!isRecordName(name)) return { name, text, fingerprint, decode: null }
  const own = recordSchema(name)
  let resolver: avro.Resolver | undefined
  try {
    if (own.fingerprint !== fingerprint) resolver = own.type.createResolver(writer)
  } catch (error) {
    const incompatible = new CodecError('incompatible', `this code cannot read what schema ${fingerprint} wrote as ${name}`, {
      cause: error,
    })
    const decode = () => {
      throw incompatible
    }
    return { name, text, fingerprint, decode }
  }
  return {
    name,
    text,
    fingerprint,
    decode: value => {
      const { value: decoded, offset } = own.type.decode(value, HEADER_BYTES, resolver)
      if (offset !== value.length) throw new Error(offset < 0 ? 'cut short' : `${value.length - offset} bytes too many`)
      return decoded
    },
  }
}

/** Path and value of the first field that does not match. */
function whatIsWrong(type: avro.Type, value: unknown): string {
  let found = ''
  type.isValid(value, {
    errorHook: (path, wrong) => {
      found ||= `${path.join('.') || 'the record'} is ${JSON.stringify(wrong) ?? 'missing'}`
    },
  })
  return found || 'unknown reason'
}

/** A registry in memory, for tests and the simulator. */
export class MemoryRegistry implements SchemaRegistry {
  readonly #texts: string[] = []
  async register(_subject: string, schema: string): Promise<number> {
    const known = this.#texts.indexOf(schema)
    return known >= 0 ? known + 1 : this.#texts.push(schema)
  }
  async schema(id: number): Promise<string> {
    const text = this.#texts[id - 1]
    if (text === undefined) throw new CodecError('unknown_schema', `no schema ${id}`)
    return text
  }
}
