import type avro from 'avsc'
import { expect, test } from 'vitest'
import { recordSchema } from '../../../schemas/index.ts'
import type { RecordName } from '../../../schemas/types.ts'
import { goldenVersions } from '../../../schemas/testing/golden.ts'
import { topicNamed } from '../../../topics/catalog.ts'
import { isProjected, PROJECTED } from '../project.ts'
import { TABLES, WITHOUT_ROWS } from './index.ts'
import type { RowOf } from './table.ts'

const sources = TABLES.flatMap(table =>
  Object.entries(table.from).map(([type, source]) => ({ table, type: type as RecordName, source })),
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
      topics.some(topic => !isProjected(topic, record)),
      record,
    ).toBe(true)
  }
})

test.each(sources)('$type fills the columns of $table.name, on topics that carry it', ({ table, type, source }) => {
  expect(source.topics.length).toBeGreaterThan(0)
  for (const { name, records } of source.topics) expect(records, `${name} carries ${type}`).toContain(type)
  const schema = recordSchema(type).type as avro.Type
  for (const bytes of goldenVersions(type).at(-1)?.records ?? []) {
    const rows = source.rows as (value: unknown, key: string) => RowOf<string> | RowOf<string>[]
    for (const row of [rows(schema.fromBuffer(Buffer.from(bytes, 'base64')), 'main:k')].flat()) {
      expect(Object.keys(row).sort()).toEqual([...table.columns].sort())
    }
  }
})
