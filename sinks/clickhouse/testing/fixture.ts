/** The two servers, records as the sink gives them to a store, and a stand-in for the sink. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import type pg from 'pg'
import type { RecordInputs, RecordName } from '../../../schemas/types.ts'
import { topicNamed } from '../../../topics/catalog.ts'
import type { Codec } from '../../../topics/codec.ts'
import { partitionKey } from '../../../topics/log.ts'
import { partitionOf } from '../../../topics/murmur2.ts'
import { startEmbeddedPostgres } from '../../postgres/embedded.ts'
import { migrate } from '../../postgres/migrate.ts'
import { openPool } from '../../postgres/pool.ts'
import { type RecordBatch, OwnershipLost, type SinkRecord, type Store } from '../../store.ts'
import { TestLog } from '../../testing/log.ts'
import { clickHouseClient, selectRows } from '../client.ts'
import { type EmbeddedClickHouse, startEmbeddedClickHouse } from '../embedded.ts'
import { migrateClickHouse } from '../migrate.ts'

export const DOCUMENT = readFileSync(join(import.meta.dirname, '../../../docs/ANALYTICS.md'), 'utf8')
/** Each question of the document: its heading, its SQL, and the table that answers it. */
export const QUESTIONS = [
  ...DOCUMENT.matchAll(/^### (\d+\. .*)\n+(?:[^`#]*?\n)?```sql\n([\s\S]*?);?\s*```\n+((?:\|.*\n)+)/gm),
].map(([, question = '', sql = '', answer = '']) => ({ question, sql, answer }))

export const quiet = { info: () => {}, warn: () => {}, error: () => {} }

export interface Servers {
  readonly dataDir: string
  readonly clickhouse: EmbeddedClickHouse
  readonly client: ClickHouseClient
  readonly pool: pg.Pool
  readonly codec: Codec
  /** Empties every table and drops every position. */
  clear(): Promise<void>
  stop(): Promise<void>
}

export async function startServers(): Promise<Servers> {
  const dataDir = mkdtempSync(join(tmpdir(), 'clickhouse-'))
  const postgres = await startEmbeddedPostgres({ dataDir, log: quiet })
  const pool = openPool({ url: postgres.url, log: quiet })
  await migrate(pool)
  const clickhouse = await startEmbeddedClickHouse({ dataDir, log: quiet })
  const client = clickHouseClient(clickhouse.url)
  await migrateClickHouse({ client, pool })
  const { codec } = await TestLog.open()
  return {
    dataDir,
    clickhouse,
    client,
    pool,
    codec,
    async clear() {
      await pool.query('TRUNCATE sink_positions')
      const tables = await selectRows<{ name: string }>(
        client,
        `SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'
           AND name NOT IN ('schema_migrations', 'store_identity')`,
      )
      for (const { name } of tables) await client.command({ query: `TRUNCATE TABLE ${name}` })
    },
    async stop() {
      await client.close()
      await clickhouse.stop()
      await pool.end()
      await postgres.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** A record of the log, decoded. */
export function readable<N extends RecordName>(
  codec: Codec,
  at: { topic: string; key: string; offset: number; timestamp: number },
  type: N,
  value: RecordInputs[N],
): SinkRecord {
  const partition = partitionOf(at.key, topicNamed(at.topic).partitions)
  const bytes = codec.encode(at.topic, type, value)
  return { record: { ...at, partition, value: bytes, headers: {} }, decoded: codec.decode(bytes) }
}

/**
 * Does with a store what the sink does, without a log: claims, then writes batches of random length until everything is written.
 * @param random numbers of [0, 1)
 */
export async function fill(store: Store, records: readonly SinkRecord[], random: () => number): Promise<void> {
  const partitions = new Map<string, SinkRecord[]>()
  for (const one of records) partitions.set(partitionKey(one.record), [...(partitions.get(partitionKey(one.record)) ?? []), one])
  const lists = [...partitions.values()]
  const claims = await store.claim(lists.map(([first]) => (first as SinkRecord).record))
  const shares = lists.map((list, n) => ({ list, position: claims[n]?.position ?? 0, until: claims[n]?.until ?? null }))
  for (;;) {
    const batches = shares.flatMap((share): RecordBatch[] => {
      const left = share.list.filter(({ record }) => record.offset >= share.position)
      if (left.length === 0) return []
      const wanted = left.slice(0, 1 + Math.floor(random() * left.length))
      const cut = store.cut?.(wanted) ?? wanted.length
      const { topic, partition, offset } = (wanted[cut - 1] as SinkRecord).record
      const next = share.until ?? offset + 1
      return [{ partition: { topic, partition }, from: share.position, next, records: left.filter(x => x.record.offset < next) }]
    })
    if (batches.length === 0) return
    await store.write(batches)
    for (const { partition, next } of batches) {
      const share = shares.find(({ list }) => partitionKey((list[0] as SinkRecord).record) === partitionKey(partition))
      Object.assign(share as object, { position: next, until: null })
    }
  }
}

/** Continues after faults, as the sink does, each time as a new process. */
export async function fillAll(store: () => Store, records: readonly SinkRecord[], random: () => number): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await fill(store(), records, random)
    } catch (error) {
      if (tries === 1_000) throw error
      if (!(error instanceof OwnershipLost)) await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
}

/** The same numbers of [0, 1) for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
