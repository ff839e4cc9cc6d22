/**
 * The schema registry as two tables. Ids are local to the file; the same text has one id under every subject. A new schema of a subject
 * must be FULL_TRANSITIVE compatible: it reads what every earlier one wrote, and every earlier one reads what it writes.
 */
import { parse } from '../../schemas/index.ts'
import { CodecError, type SchemaRegistry } from '../codec.ts'
import type { Database } from './database.ts'

export class LocalRegistry implements SchemaRegistry {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** @throws {CodecError} `invalid` when it is incompatible with an earlier schema of the subject, saying how */
  async register(subject: string, schema: string): Promise<number> {
    const earlier = this.#database.all<{ id: number; text: string }>(
      'SELECT id, text FROM subjects JOIN schemas ON id = schema_id WHERE subject = ? ORDER BY id',
      subject,
    )
    const same = earlier.find(({ text }) => text === schema)
    if (same !== undefined) return same.id
    for (const { id, text } of earlier) checkCompatible(subject, schema, id, text)
    this.#database.transaction(() => {
      this.#database.run('INSERT INTO schemas (text) VALUES (?) ON CONFLICT DO NOTHING', schema)
      this.#database.run('INSERT INTO subjects SELECT ?, id FROM schemas WHERE text = ?', subject, schema)
    })
    return this.#database.get<{ id: number }>('SELECT id FROM schemas WHERE text = ?', schema)?.id as number
  }

  async schema(id: number): Promise<string> {
    const found = this.#database.get<{ text: string }>('SELECT text FROM schemas WHERE id = ?', id)
    if (found === undefined) throw new CodecError('unknown_schema', `no schema ${id} in ${this.#database.file}`)
    return found.text
  }
}

function checkCompatible(subject: string, schema: string, earlierId: number, earlier: string): void {
  const [next, before] = [parse(schema).type, parse(earlier).type]
  for (const [reader, writer, direction] of [
    [next, before, `the new schema cannot read what schema ${earlierId} wrote`],
    [before, next, `schema ${earlierId} cannot read what the new schema writes`],
  ] as const) {
    try {
      reader.createResolver(writer)
    } catch (error) {
      throw new CodecError('invalid', `subject ${subject}: ${direction}: ${(error as Error).message}`, { cause: error })
    }
  }
}
