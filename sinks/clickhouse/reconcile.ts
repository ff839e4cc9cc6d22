/**
 * Compares the roll-ups with the rows they are made from. Run periodically: a difference is a bug, or somebody has changed the tables
 * by hand.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import { selectRows } from './client.ts'
import { TABLES } from './tables/index.ts'

export interface Difference {
  readonly rollup: string
  /** Which of its rows. */
  readonly key: string
  readonly raw: string
  readonly rolled: string
}

/**
 * The differences, at most 100 of each roll-up.
 * @param before leaves out hours and days that end later (ms since the epoch), since an insert reaches a table a moment before its
 *   roll-ups; an hour ago by default. What is older than 23 months is left out too: its rows are about to expire, the roll-ups stay.
 */
export async function reconcile(client: ClickHouseClient, before: number = Date.now() - 3_600_000): Promise<Difference[]> {
  const differences: Difference[] = []
  for (const { name: rollup, time, span, keys, value, raw } of TABLES.flatMap(({ rollups = [] }) => rollups)) {
    const settled = `WHERE ${time} >= now() - INTERVAL 23 MONTH AND ${time} + INTERVAL ${span} <= fromUnixTimestamp64Milli(${Math.floor(before)})`
    const side = (from: string) => `SELECT (${keys.join(', ')}) AS key, toString(${value}) AS value FROM ${from} ${settled}`
    const rows = await selectRows<Difference>(
      client,
      `SELECT '${rollup}' AS rollup, toString(key) AS key, maxIf(value, side = 'raw') AS raw, maxIf(value, side = 'rolled') AS rolled
       FROM (SELECT 'raw' AS side, * FROM (${side(`(${raw})`)}) UNION ALL SELECT 'rolled' AS side, * FROM (${side(`v_${rollup}`)}))
       GROUP BY key HAVING raw != rolled ORDER BY key LIMIT 100`,
    )
    differences.push(...rows)
  }
  return differences
}
