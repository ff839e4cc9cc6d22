import type avro from 'avsc'
import { expect, test } from 'vitest'
import { recordSchema } from '../../../schemas/index.ts'
import type { RecordName } from '../../../schemas/types.ts'
import { goldenVersions } from '../../../schemas/testing/golden.ts'
import { topicNamed } from '../../../topics/catalog.ts'
import { isProjected, PROJECTED } from '../project.ts'
import { TABLES, WITHOUT_ROWS } from './index.ts'
import type { Origin, Row, Table } from './table.ts'

const sources = TABLES.flatMap(table =>
  Object.entries(table.from ?? {}).map(([type, source]) => ({ table, type: type as RecordName, source })),
)

test('every record on a projected topic makes rows, or is listed as one that makes none', () => {
  for (const topic of PROJECTED) {
    for (const record of topicNamed(topic).records) {
      const taken = isProjected(topic, record)
      expect(taken || WITHOUT_ROWS.includes(record), `${record} on ${topic}: add it to a table or to WITHOUT_ROWS`).toBe(true)
    }
  }
})

test('what is listed as making no rows makes none on some topic', () => {
  for (const record of WITHOUT_ROWS) {
    const topics = PROJECTED.filter(topic => topicNamed(topic).records.includes(record))
    expect(
      topics.some(topic => !sources.some(({ type, source }) => type === record && source.topics.some(t => t.name === topic))),
      record,
    ).toBe(true)
  }
})

test.each(sources)('$type fills the columns of $table.name, on topics that carry it', ({ table, type, source }) => {
  expect(source.topics.length).toBeGreaterThan(0)
  for (const { name, records } of source.topics) expect(records, `${name} carries ${type}`).toContain(type)
  for (const value of goldenValues(type)) {
    const rows = source.rows as (value: unknown, origin: Origin) => Row | Row[]
    const origin = { topic: source.topics[0]?.name ?? '', partition: 0, version: 7, timestamp: 1, key: 'main:k' }
    for (const row of [rows(value, origin)].flat()) {
      expect(Object.keys(row).sort()).toEqual(Object.keys(table.columns).sort())
      if ('version' in table.columns) expect(row.version).toBe(7)
    }
  }
})

/** Records of the newest schema: one with everything set, one with defaults. */
function goldenValues(type: RecordName): unknown[] {
  const schema = recordSchema(type).type as avro.Type
  return (goldenVersions(type).at(-1)?.records ?? []).map(bytes => schema.fromBuffer(Buffer.from(bytes, 'base64')))
}

test('a table is replaced by a rebuild only if the log keeps all of it', () => {
  for (const { name, from, rebuild } of TABLES) {
    if (rebuild !== 'replace') continue
    for (const topic of Object.values(from ?? {}).flatMap(({ topics }) => topics)) {
      expect(topic.cleanup === 'compact' || topic.retentionMs === null, `${topic.name} of ${name}`).toBe(true)
    }
  }
})

test('definitions agree with themselves', () => {
  const names = TABLES.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  for (const table of TABLES) expect(problems(table), table.name).toEqual([])
})

function problems(table: Table): string[] {
  const { key, columns, identity = [], kept = [], monthly, partOf, conversation, erased, scrubbed, ages, deletedBy } = table
  const named = [...key, ...identity, ...kept, ...[monthly, partOf, conversation].filter(column => column !== undefined)]
  return [
    ...named.filter(column => !(column in columns)).map(column => `no column ${column}`),
    ...(erased !== undefined && conversation === undefined ? ['erased, but of no conversation'] : []),
    ...(scrubbed !== undefined && conversation === undefined ? ['scrubbed, but of no conversation'] : []),
    ...(ages && monthly === undefined ? ['ages without months'] : []),
    ...(monthly !== undefined && !key.includes(monthly) ? ['its month is not in its key'] : []),
    ...(deletedBy !== undefined && !('version' in columns) ? ['deleted without a version'] : []),
  ]
}
