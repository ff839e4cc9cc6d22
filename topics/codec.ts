/**
 * Records as bytes, in Confluent's wire format: a zero byte, the schema's id in four bytes, Avro. A topic may carry several
 * record types; each has its own subject, `<topic>-<record>`, and its schema's name says which it is.
 */
import type avro from 'avsc'
import { isRecordName, parse, recordSchema } from '../schemas/index.ts'
import type { RecordInputs, RecordName, Records } from '../schemas/types.ts'
import type { Topic } from './catalog.ts'
import type { LogRecord } from './log.ts'

/** Where schemas get their ids. */
export interface SchemaRegistry {
  /** The id of this schema under this subject; registers it when it is new. @throws when it is incompatible. */
  register(subject: string, schema: string): Promise<number>
  /** The text of a schema. @throws when there is none of that id. */
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

interface Reader {
  readonly name: string
  readonly text: string
  readonly fingerprint: string
  /** Null where this code has no such record type. */
  readonly decode: ((value: Buffer) => unknown) | null
}

const HEADER = 5
/** Encoded records lie side by side in slabs of so many bytes: memory of its own for each costs as much as encoding it. */
const SLAB = 128 * 1024

export class Codec {
  readonly #registry: SchemaRegistry
  readonly #ids = new Map<string, number>()
  readonly #readers = new Map<number, Reader>()
  #slab = Buffer.allocUnsafeSlow(SLAB)
  /** Bytes of the slab that are taken. */
  #taken = 0

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
      if (!this.#readers.has(id)) this.#readers.set(id, reader(recordSchema(name).text))
    }
    await Promise.all(topic.records.map(add))
  }

  /** @throws {CodecError} when the topic does not carry the type, or the value does not fit its schema (which field, which value). */
  encode<N extends RecordName>(topic: string, name: N, value: RecordInputs[N]): Buffer {
    const id = this.#ids.get(`${topic}-${name}`)
    if (id === undefined) throw new CodecError('not_of_topic', `topic ${topic} does not carry ${name}`)
    const { type } = recordSchema(name)
    try {
      let end = type.encode(value, this.#slab, this.#taken + HEADER)
      if (end < 0) {
        const missing = -end
        this.#renew(this.#slab.length - this.#taken + missing)
        end = type.encode(value, this.#slab, HEADER)
      }
      return this.#take(id, end - this.#taken)
    } catch (error) {
      throw new CodecError('invalid', `${name} does not fit its schema: ${whatIsWrong(type, value)}`, { cause: error })
    }
  }

  /** Raw Avro of a record, written with its present schema, in wire format. */
  wrap(topic: string, name: RecordName, raw: Buffer): Buffer {
    const id = this.#ids.get(`${topic}-${name}`)
    if (id === undefined) throw new CodecError('not_of_topic', `topic ${topic} does not carry ${name}`)
    const bytes = HEADER + raw.length
    if (this.#taken + bytes > this.#slab.length) this.#renew(bytes)
    this.#slab.set(raw, this.#taken + HEADER)
    return this.#take(id, bytes)
  }

  #renew(bytes: number): void {
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB, bytes))
    this.#taken = 0
  }

  /** What has been encoded at the end of the slab. */
  #take(id: number, bytes: number): Buffer {
    const wire = this.#slab.subarray(this.#taken, this.#taken + bytes)
    this.#taken += bytes
    wire[0] = 0
    wire.writeUInt32BE(id, 1)
    return wire
  }

  /** The raw Avro of a record in wire format, and the fingerprint of the schema that wrote it. */
  unwrap(value: Buffer): { name: string; fingerprint: string; raw: Buffer } {
    const { name, fingerprint } = this.#reader(value)
    return { name, fingerprint, raw: value.subarray(HEADER) }
  }

  /** Text of the schema that wrote a record. */
  schemaOf(value: Buffer): string {
    return this.#reader(value).text
  }

  /**
   * @throws {CodecError} `unknown_schema` when `prepare` has not seen the record, `unknown_record` when this code has no such
   * type (a newer version wrote it), `incompatible` when it has, but cannot read what that schema wrote, `not_wire_format` or
   * `invalid` when the bytes are damaged.
   */
  decode(value: Buffer): Decoded {
    const { name, decode } = this.#reader(value)
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
    return this.#reader(value).name
  }

  /** Index of the first of these records whose schema has yet to be fetched by `prepare`; -1 where there is none. */
  unprepared(records: readonly LogRecord[]): number {
    return records.findIndex(({ value }) => {
      return value !== null && value.length >= HEADER && value[0] === 0 && !this.#readers.has(value.readUInt32BE(1))
    })
  }

  /** Fetches the schemas of records that other versions of the code wrote. @throws what the registry throws */
  async prepare(records: readonly Pick<LogRecord, 'value'>[]): Promise<void> {
    for (const { value } of records) {
      if (value === null || value.length < HEADER || value[0] !== 0) continue
      const id = value.readUInt32BE(1)
      if (!this.#readers.has(id)) this.#readers.set(id, reader(await this.#registry.schema(id)))
    }
  }

  /** As `prepare`, where a schema that the registry does not know keeps none of the others back. @throws what else the registry throws */
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

  #reader(value: Buffer): Reader {
    if (value.length < HEADER || value[0] !== 0) {
      throw new CodecError('not_wire_format', `${value.length} bytes that do not start with 00 and a schema id`)
    }
    const id = value.readUInt32BE(1)
    const found = this.#readers.get(id)
    if (found === undefined) throw new CodecError('unknown_schema', `schema ${id} has not been fetched`)
    return found
  }
}

function reader(text: string): Reader {
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse(text)
  } catch {
    // No Avro record: nothing that this code has a type for.
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
      const { value: decoded, offset } = own.type.decode(value, HEADER, resolver)
      if (offset !== value.length) throw new Error(offset < 0 ? 'cut short' : `${value.length - offset} bytes too many`)
      return decoded
    },
  }
}

/** Path and value of the first field that does not fit. */
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
