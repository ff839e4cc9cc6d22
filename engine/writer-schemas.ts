/**
 * The schemas that wrote the contents of a changelog and its state store, by fingerprint: ids belong to one registry, fingerprints are
 * universal. Each schema used is itself a record of the changelog, under a reserved key.
 */
import avro from 'avsc'
import { parse, recordSchema } from '../schemas/index.ts'
import type { RecordName, Records } from '../schemas/types.ts'
import { Corrupted, Fatal } from './errors.ts'

/** Some fields of a record as a type of their own, with the resolver for what the record's present schema has written. */
export interface Part<N extends RecordName, F extends keyof Records[N]> {
  readonly record: N
  readonly fields: readonly F[]
  readonly type: avro.Type
  readonly own: avro.Resolver
}

export function partOf<N extends RecordName, F extends keyof Records[N] & string>(name: N, fields: readonly F[]): Part<N, F> {
  const { text, type: whole } = recordSchema(name)
  const schema = JSON.parse(text) as { fields: { name: string }[] }
  const kept = schema.fields.filter(field => (fields as readonly string[]).includes(field.name))
  const type = avro.Type.forSchema({ ...schema, fields: kept } as never)
  return { record: name, fields, type, own: type.createResolver(whole) }
}

export class WriterSchemas {
  readonly #writers = new Map<string, avro.Type>()
  readonly #resolvers = new Map<string, avro.Resolver>()

  /** Adds a schema as found in a changelog. Returns its fingerprint. */
  add(text: string): string {
    const { type, fingerprint } = parse(text)
    this.#writers.set(fingerprint, type)
    return fingerprint
  }

  /**
   * @throws {Corrupted} `unknown_schema` if the writer's schema was never seen, `damaged` if the bytes do not fit it
   * @throws {Fatal} `incompatible` if this code cannot read what that schema wrote
   */
  decode<N extends RecordName>(name: N, fingerprint: string, bytes: Buffer): Records[N] {
    const own = recordSchema(name)
    return this.#decode(name, () => {
      if (fingerprint === own.fingerprint) return own.type.fromBuffer(bytes) as Records[N]
      return own.type.fromBuffer(bytes, this.#resolver(own.type, name, fingerprint)) as Records[N]
    })
  }

  /** Decodes some fields of a record, which costs no more than skipping the others. @throws as `decode` */
  decodePart<N extends RecordName, F extends keyof Records[N] & string>(
    { record, fields, type, own }: Part<N, F>,
    fingerprint: string,
    bytes: Buffer,
  ): Pick<Records[N], F> {
    return this.#decode(record, () => {
      const present = fingerprint === recordSchema(record).fingerprint
      const resolver = present ? own : this.#resolver(type, `${fields} of ${record}`, fingerprint)
      return type.fromBuffer(bytes, resolver) as Pick<Records[N], F>
    })
  }

  #decode<T>(name: string, decode: () => T): T {
    try {
      return decode()
    } catch (error) {
      if (error instanceof Corrupted || error instanceof Fatal) throw error
      throw new Corrupted('damaged', `stored ${name} cannot be read: ${(error as Error).message}`, { cause: error })
    }
  }

  #resolver(own: avro.Type, name: string, fingerprint: string): avro.Resolver {
    const cached = `${name}/${fingerprint}`
    const known = this.#resolvers.get(cached)
    if (known !== undefined) return known
    const writer = this.#writers.get(fingerprint)
    if (writer === undefined)
      throw new Corrupted('unknown_schema', `${name} was written with schema ${fingerprint}, which is not known`)
    try {
      const resolver = own.createResolver(writer)
      this.#resolvers.set(cached, resolver)
      return resolver
    } catch (error) {
      throw new Fatal(
        'incompatible',
        `what is stored as ${writer.name} (schema ${fingerprint}) cannot be read as ${name}: ${(error as Error).message}; ` +
          'deploy code whose schema is compatible with it',
        { cause: error },
      )
    }
  }
}
