import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const here = import.meta.dirname

export type AvroType = string | AvroType[] | AvroComplex
export interface AvroField {
  name: string
  type: AvroType
  doc?: string
  default?: unknown
  pii?: boolean
}
export interface AvroComplex {
  type: string
  name?: string
  namespace?: string
  doc?: string
  fields?: AvroField[]
  symbols?: string[]
  items?: AvroType
  values?: AvroType
  default?: unknown
  logicalType?: string
}

/** Every schema file, as `context/Name`, with its parsed content, in a stable order. */
export function schemaFiles(): { path: string; schema: AvroComplex }[] {
  return readdirSync(here, { withFileTypes: true })
    .filter(entry => entry.isDirectory() && entry.name !== 'golden')
    .flatMap(dir => readdirSync(join(here, dir.name)).map(file => `${dir.name}/${file}`))
    .filter(path => path.endsWith('.avsc'))
    .sort()
    .map(path => ({ path, schema: JSON.parse(readFileSync(join(here, path), 'utf8')) as AvroComplex }))
}
