/**
 * Upserts: rows as arrays through UNNEST (one plan for any number of rows), sorted by key so that writers do not deadlock, and never
 * over a row of a newer version.
 */
import type pg from 'pg'
import type { Columns, Row, Table } from './tables/table.ts'
import { parameter } from './values.ts'

/** Rows of one statement: what it unnests must fit into the server's working memory. */
const MAX_ROWS = 5_000

/** Inserts the rows and updates older ones; no two may have the same key. Returns the number of stale rows. */
export async function upsert(client: pg.ClientBase, table: Table, rows: readonly Row[]): Promise<number> {
  if (rows.length === 0) return 0
  const sorted = rows.toSorted((a, b) => compareKeys(table, a, b))
  let written = 0
  for (let from = 0; from < sorted.length; from += MAX_ROWS) {
    const { rowCount } = await client.query(upsertSql(table), columnArrays(table.columns, sorted.slice(from, from + MAX_ROWS)))
    written += rowCount ?? 0
  }
  return rows.length - written
}

/** Arrays of one column each, as the parameters of UNNEST. */
export function columnArrays(columns: Columns, rows: readonly Row[]): unknown[][] {
  return Object.entries(columns).map(([name, type]) => rows.map(row => parameter(type, row[name] ?? null)))
}

/** `UNNEST($1::text[], $2::bigint[] …)` for these columns. */
export function unnest(columns: Columns): string {
  return `UNNEST(${Object.values(columns)
    .map((type, i) => `$${i + 1}::${type}[]`)
    .join(', ')})`
}

const statements = new Map<Table, string>()

function upsertSql(table: Table): string {
  const known = statements.get(table)
  if (known !== undefined) return known
  const columns = Object.keys(table.columns)
  const set = columns
    .filter(column => !table.key.includes(column) && !(table.kept ?? []).includes(column))
    .map(column => `"${column}" = excluded."${column}"`)
  const onConflict = columns.includes('version')
    ? `DO UPDATE SET ${set.join(', ')} WHERE ${table.name}.version < excluded.version`
    : 'DO NOTHING'
  const sql = `INSERT INTO ${table.name} (${columns.map(column => `"${column}"`).join(', ')})
    SELECT * FROM ${unnest(table.columns)} ON CONFLICT (${table.key.map(column => `"${column}"`).join(', ')}) ${onConflict}`
  statements.set(table, sql)
  return sql
}

function compareKeys(table: Table, a: Row, b: Row): number {
  for (const column of table.key) {
    const [x, y] = [a[column] as string | number, b[column] as string | number]
    if (x !== y) return x < y ? -1 : 1
  }
  return 0
}
