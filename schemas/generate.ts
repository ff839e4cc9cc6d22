/**
 * Writes `types.ts` from the `.avsc` files: for each record the type as read, and `…Input` as written, where a field with a
 * default may be left out. Run by `npm run schemas`; a test proves that the file is fresh.
 */
import { type AvroComplex, type AvroField, type AvroType, schemaFiles } from './files.ts'

/** The text of `types.ts`. */
export function generate(): string {
  const named = new Map<string, string>()
  const out: string[] = []
  const records: string[] = []
  const define = (name: string, text: string) => {
    const known = named.get(name)
    if (known === text) return
    if (known !== undefined) throw new Error(`schemas define "${name}" in two ways; rename one or make them the same`)
    named.set(name, text)
    out.push(text)
  }
  const typeOf = (type: AvroType, input: boolean): string => {
    if (Array.isArray(type)) return type.map(t => typeOf(t, input)).join(' | ')
    if (typeof type === 'string') return PRIMITIVES[type] ?? reference(type, input)
    if (type.type === 'record') {
      record(type)
      return input ? `${type.name}Input` : (type.name as string)
    }
    if (type.type === 'enum') {
      define(type.name as string, `export type ${type.name} = ${(type.symbols ?? []).map(s => `'${s}'`).join(' | ')}\n`)
      return type.name as string
    }
    if (type.type === 'array') return `${wrap(typeOf(type.items as AvroType, input))}[]`
    if (type.type === 'map') return `Record<string, ${typeOf(type.values as AvroType, input)}>`
    return typeOf(type.type, input)
  }
  const reference = (name: string, input: boolean) => {
    const short = name.slice(name.lastIndexOf('.') + 1)
    return named.get(short)?.startsWith('export type') ? short : input ? `${short}Input` : short
  }
  const record = (schema: AvroComplex) => {
    const fields = schema.fields ?? []
    const line = (field: AvroField, input: boolean) =>
      `  /** ${field.doc ?? ''}${field.pii ? ' Personal data.' : ''} */\n  ${field.name}${input && field.default !== undefined ? '?' : ''}: ${typeOf(field.type, input)}${input && field.default !== undefined ? ' | undefined' : ''}\n`
    define(
      schema.name as string,
      `/** ${schema.doc ?? ''} */\nexport interface ${schema.name} {\n${fields.map(f => line(f, false)).join('')}}\n`,
    )
    define(`${schema.name}Input`, `export interface ${schema.name}Input {\n${fields.map(f => line(f, true)).join('')}}\n`)
  }
  for (const { schema } of schemaFiles()) {
    record(schema)
    records.push(schema.name as string)
  }
  return [
    '// Made from the .avsc files by `npm run schemas`. Do not edit.\n',
    ...out,
    `/** Every record type by name, as read. */\nexport interface Records {\n${records.map(r => `  ${r}: ${r}\n`).join('')}}\n`,
    `/** Every record type by name, as written. */\nexport interface RecordInputs {\n${records.map(r => `  ${r}: ${r}Input\n`).join('')}}\n`,
    'export type RecordName = keyof Records\n',
  ].join('\n')
}

const PRIMITIVES: Record<string, string> = {
  null: 'null',
  string: 'string',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  float: 'number',
  double: 'number',
  bytes: 'Buffer',
}

const wrap = (type: string) => (type.includes(' | ') ? `(${type})` : type)
