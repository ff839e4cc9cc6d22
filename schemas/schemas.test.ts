import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import avro from 'avsc'
import { describe, expect, it } from 'vitest'
import { goldenVersions, isFresh } from './testing/golden.ts'
import { allTopics, CHANGELOG_RECORDS, deadLetters } from '../topics/catalog.ts'
import type { AvroComplex, AvroType } from './files.ts'
import { schemaFiles } from './files.ts'
import { generate } from './generate.ts'
import { piiPaths, recordNames, recordSchema } from './index.ts'
import type { RecordName } from './types.ts'

/** Every named type within a schema, itself included. */
function within(type: AvroType | undefined): AvroComplex[] {
  if (Array.isArray(type)) return type.flatMap(within)
  if (typeof type !== 'object') return []
  return [type, ...within(type.items), ...within(type.values), ...(type.fields ?? []).flatMap(f => within(f.type))]
}

const onTopics = (): RecordName[] => [...allTopics(), deadLetters].flatMap(t => [...t.records]).concat(CHANGELOG_RECORDS)

describe('the schemas', () => {
  it('have types.ts made from them as they are', () => {
    expect(readFileSync(join(import.meta.dirname, 'types.ts'), 'utf8'), 'run: npm run schemas').toBe(generate())
  })

  it.each(schemaFiles())('$path: documented, enums default to UNKNOWN, no top-level union', ({ path, schema }) => {
    expect(schema.type).toBe('record')
    expect(path.endsWith(`/${schema.name}.avsc`)).toBe(true)
    for (const type of within(schema)) {
      if (type.type === 'record') {
        expect(type.doc, `doc of ${type.name}`).toBeTruthy()
        for (const field of type.fields ?? []) expect(field.doc, `doc of ${type.name}.${field.name}`).toBeTruthy()
      }
      if (type.type === 'enum') {
        expect(type.default, `default of ${type.name}`).toBe('UNKNOWN')
        expect(type.symbols).toContain('UNKNOWN')
      }
    }
  })

  it('mark what is personal by its name', () => {
    const personal = /^(phone|contactName|contactEmail|contactPhone|notes|text|to|user|chat|bySender|person)$/
    // Words about a venue or the service itself, not about a person.
    const exceptions = new Set(['Alert.text'])
    for (const { schema } of schemaFiles()) {
      for (const type of within(schema)) {
        for (const field of type.fields ?? []) {
          if (!personal.test(field.name) || exceptions.has(`${type.name}.${field.name}`)) continue
          const isText = JSON.stringify(field.type).includes('"string"')
          if (isText && !/Event$/.test(type.name ?? ''))
            expect(field.pii, `${type.name}.${field.name} is not marked "pii"`).toBe(true)
        }
      }
    }
  })

  it('carry no personal data on topics that are kept for ever', () => {
    const kept = allTopics().filter(t => t.cleanup === 'delete' && t.retentionMs === null)
    expect(kept.map(t => t.name).sort()).toEqual(['audit.log', 'conversation.events', 'sync.log', 'venue.events'])
    for (const { name, records, keptForever } of kept) {
      expect(keptForever, `why ${name} is kept forever`).toMatch(/\w{3}/)
      for (const record of records) expect(piiPaths(record), `${record} on ${name}`).toEqual([])
    }
  })

  it('are of use: every one is on a topic, in an actor or in the ledger', () => {
    const code = ['processors', 'connectors', 'engine', 'test', 'bench'].flatMap(folder =>
      (readdirSync(join(import.meta.dirname, '..', folder), { recursive: true, encoding: 'utf8' }) as string[])
        .filter(f => f.endsWith('.ts'))
        .map(f => readFileSync(join(import.meta.dirname, '..', folder, f), 'utf8')),
    )
    const carried = onTopics()
    for (const name of recordNames()) {
      expect(carried.includes(name) || code.some(text => text.includes(`'${name}'`)), `${name} is used nowhere`).toBe(true)
    }
  })
})

describe('the golden records', () => {
  it.each(recordNames())('%s: its newest golden version is the schema as it is', name => {
    expect(isFresh(name), `${name} has changed; keep it with: npm run golden`).toBe(true)
  })

  it.each(recordNames())('%s: every version is readable now, and what is written now by every version', name => {
    const present = recordSchema(name).type
    const versions = goldenVersions(name).map(v => ({ ...v, type: avro.Type.forSchema(v.schema as avro.Schema) }))
    expect(versions.map(v => v.version)).toEqual(versions.map((_, at) => at + 1))
    for (const { type, records } of versions) {
      expect(records).toHaveLength(2)
      const forward = present.createResolver(type)
      // A state that was renamed, by alias, is read under its new name only: topics do not carry it.
      const backward = (type as avro.types.RecordType).name === present.name ? type.createResolver(present) : null
      if (backward === null) expect(onTopics(), name).not.toContain(name)
      for (const record of records) {
        const bytes = Buffer.from(record, 'base64')
        const value = present.fromBuffer(bytes, forward)
        expect(present.isValid(value)).toBe(true)
        if (backward !== null) expect(type.isValid(type.fromBuffer(present.toBuffer(value), backward))).toBe(true)
        if (type.fingerprint().equals(present.fingerprint())) expect(present.toBuffer(value).equals(bytes)).toBe(true)
      }
    }
  })
})
