/**
 * Keeps a golden version of every schema: `npm run golden` adds one where a schema has changed, and never rewrites an old one. What
 * an old version wrote has to be readable for ever, and what is written now by every old reader: FULL_TRANSITIVE.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import avro from 'avsc'
import type { AvroComplex, AvroField, AvroType } from '../files.ts'
import { recordNames, recordSchema } from '../index.ts'

export interface GoldenVersion {
  readonly version: number
  readonly schema: AvroComplex
  /** One record with everything, one with defaults: raw Avro in base64. */
  readonly records: readonly string[]
}

const folder = join(import.meta.dirname, '../golden')

/** The versions of a record type, oldest first. */
export function goldenVersions(name: string): GoldenVersion[] {
  const file = join(folder, `${name}.json`)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as GoldenVersion[]) : []
}

/** True when the newest golden version is the schema as it is. */
export function isFresh(name: string): boolean {
  const newest = goldenVersions(name).at(-1)
  return newest !== undefined && JSON.stringify(newest.schema) === recordSchema(name).text
}

/** The same value every time: with everything set, or with defaults wherever there are any. */
function sample(type: AvroType, full: boolean, named: Map<string, AvroComplex>): unknown {
  if (Array.isArray(type)) return sample((full ? type.find(t => t !== 'null') : type[0]) as AvroType, full, named)
  if (typeof type === 'string') {
    const known = named.get(type.slice(type.lastIndexOf('.') + 1))
    return known === undefined ? PRIMITIVES[type] : sample(known, full, named)
  }
  if (type.name !== undefined) named.set(type.name, type)
  if (type.type === 'record') return Object.fromEntries((type.fields ?? []).map(f => [f.name, field(f, full, named)]))
  if (type.type === 'enum') return full ? type.symbols?.at(-1) : type.symbols?.[0]
  if (type.type === 'array') return full ? [sample(type.items as AvroType, full, named)] : []
  if (type.type === 'map') return full ? { key: sample(type.values as AvroType, full, named) } : {}
  return sample(type.type, full, named)
}

function field({ type, default: fallback }: AvroField, full: boolean, named: Map<string, AvroComplex>): unknown {
  const value = sample(type, full, named)
  return full || fallback === undefined
    ? value
    : typeof fallback === 'string' && Buffer.isBuffer(value)
      ? Buffer.from(fallback)
      : fallback
}

const PRIMITIVES: Record<string, unknown> = {
  null: null,
  string: 'text ข้อความ',
  boolean: true,
  int: 7,
  long: 1_750_000_000_000,
  float: 0.5,
  double: 0.25,
  bytes: Buffer.from([0, 1, 255]),
}

/** Keeps a version of every schema that has changed. @returns what was kept, a line each */
export function keepVersions(): string[] {
  return recordNames().flatMap(name => {
    if (isFresh(name)) return []
    const versions = goldenVersions(name)
    const schema = JSON.parse(recordSchema(name).text) as AvroComplex
    const type = avro.Type.forSchema(schema as avro.Schema)
    const records = [true, false].map(full => type.toBuffer(sample(schema, full, new Map())).toString('base64'))
    const all = [...versions, { version: versions.length + 1, schema, records }]
    writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(all, null, 1)}\n`)
    return [`${name}: version ${versions.length + 1}`]
  })
}
