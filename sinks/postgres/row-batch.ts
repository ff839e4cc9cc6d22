/** The rows that a batch of records makes, folded: one per key. Written in the caller's transaction. */
import type pg from 'pg'
import { tellChanged } from './changes.ts'
import { eraseAgain } from './erasures.ts'
import { TABLES } from './tables/index.ts'
import type { BatchRows, Row, Table } from './tables/table.ts'
import { columnArrays, unnest, upsert } from './upsert.ts'

export class RowBatch implements BatchRows {
  /** By identity. */
  readonly #rows = new Map<Table, Map<string, Row>>()
  /** Deletions of rows by id, and of older parts by what they are parts of: `{ id, version }`, the newest of each id. */
  readonly #deletions = new Map<Table, Map<string, Row>>()
  /** Schemas of the records that are kept as they came, by fingerprint. */
  readonly #schemas = new Map<string, string>()
  readonly #keptFrom: number

  /** @param keptFrom rows of tables that age are dropped if they are older, ms */
  constructor(keptFrom = Number.NEGATIVE_INFINITY) {
    this.#keptFrom = keptFrom
  }

  put(table: Table, row: Row): void {
    if (table.ages === true && (row[table.monthly as string] as number) < this.#keptFrom) return
    const rows = this.#rows.get(table) ?? new Map<string, Row>()
    this.#rows.set(table, rows)
    const identity = JSON.stringify((table.identity ?? table.key).map(column => row[column]))
    const earlier = rows.get(identity)
    rows.set(identity, earlier === undefined || table.fold === undefined ? row : table.fold(earlier, row))
  }

  /** Deletes what is older than this version: the row of this id, or the rows that are parts of it. */
  delete(table: Table, id: string, version: number): void {
    const deletions = this.#deletions.get(table) ?? new Map<string, Row>()
    this.#deletions.set(table, deletions)
    deletions.set(id, { id, version })
  }

  schema(fingerprint: string, text: string): void {
    this.#schemas.set(fingerprint, text)
  }

  get schemas(): ReadonlyMap<string, string> {
    return this.#schemas
  }

  rowsOf(table: Table): readonly Row[] {
    return [...(this.#rows.get(table)?.values() ?? [])]
  }

  /** Rows by table, for what must exist before they are written. */
  rows(): (readonly [Table, Row[]])[] {
    return [...this.#rows].map(([table, rows]) => [table, [...rows.values()]])
  }

  /** Returns the number of stale rows: the tables had newer ones. */
  async write(client: pg.ClientBase): Promise<number> {
    let stale = 0
    for (const table of TABLES) {
      stale += await (table.write?.(client, this) ?? upsert(client, table, this.rowsOf(table)))
      await remove(client, table, [...(this.#deletions.get(table)?.values() ?? [])])
    }
    const conversations = this.#conversations()
    if (conversations.length > 0) {
      await eraseAgain(client, conversations)
      await tellChanged(client, conversations)
    }
    return stale
  }

  /** Every conversation that has rows in this batch, or loses some by it. */
  #conversations(): string[] {
    const ids = new Set<unknown>()
    for (const byTable of [this.#rows, this.#deletions]) {
      for (const [{ conversation }, rows] of byTable) {
        if (conversation !== undefined) for (const row of rows.values()) ids.add(row[conversation])
      }
    }
    return [...ids].filter(id => typeof id === 'string')
  }
}

async function remove(client: pg.ClientBase, table: Table, deletions: readonly Row[]): Promise<void> {
  if (deletions.length === 0) return
  const columns = { id: 'text', version: 'bigint' } as const
  await client.query(
    `DELETE FROM ${table.name} t USING ${unnest(columns)} AS gone (id, version)
     WHERE t."${table.partOf ?? 'id'}" = gone.id AND t.version < gone.version`,
    columnArrays(columns, deletions),
  )
}
