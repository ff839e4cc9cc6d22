/**
 * The Avro types of every record, read from the `.avsc` files once at start.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import avro from 'avsc'
import { type AvroComplex, schemaFiles } from './files.ts'
import type { RecordName } from './types.ts'

export interface RecordSchema {
  readonly name: RecordName
  readonly type: avro.Type
  /** The schema as written, docs and `pii` marks included. */
  readonly text: string
  /** First 8 bytes of the SHA-256 of the parsing canonical form (Avro 1.12 specification), as hex: names a schema in stores. */
  readonly fingerprint: string
}

const schemas = new Map<string, RecordSchema>()
for (const { path, schema } of schemaFiles()) {
  const text = JSON.stringify(JSON.parse(readFileSync(join(import.meta.dirname, path), 'utf8')))
  schemas.set(schema.name as string, { name: schema.name as RecordName, text, ...parse(text) })
}

/** The schema of a record type. @throws when there is none of that name. */
export function recordSchema(name: string): RecordSchema {
  const schema = schemas.get(name)
  if (schema === undefined) throw new Error(`no schema named "${name}"; known are ${[...schemas.keys()].join(', ')}`)
  return schema
}

export function isRecordName(name: string): name is RecordName {
  return schemas.has(name)
}

export function recordNames(): RecordName[] {
  return [...schemas.keys()] as RecordName[]
}

/** Parses a schema text: its Avro type, its short name and its fingerprint. */
export function parse(text: string): { type: avro.Type; fingerprint: string } {
  const type = avro.Type.forSchema(JSON.parse(text) as avro.Schema)
  return { type, fingerprint: type.fingerprint('sha256').toString('hex', 0, 8) }
}

/** Dotted paths of the fields marked as personal data, arrays and unions passed through. */
export function piiPaths(name: RecordName): string[] {
  const walk = (type: AvroComplex | string | unknown, path: string): string[] => {
    if (Array.isArray(type)) return type.flatMap(t => walk(t, path))
    if (typeof type !== 'object' || type === null) return []
    const complex = type as AvroComplex
    if (complex.type === 'array') return walk(complex.items, path)
    if (complex.type === 'map') return walk(complex.values, path)
    return (complex.fields ?? []).flatMap(field => {
      const here = path === '' ? field.name : `${path}.${field.name}`
      return field.pii ? [here] : walk(field.type, here)
    })
  }
  return walk(JSON.parse(recordSchema(name).text), '')
}
