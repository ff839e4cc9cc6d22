/**
 * Whether the roll-ups say what the rows say that they are made of. To be run now and then: a difference is a fault of ours, or
 * somebody's hand in the tables.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import { selectRows } from './client.ts'

export interface Difference {
  readonly rollup: string
  /** Which row of it. */
  readonly key: string
  readonly raw: string
  readonly rolled: string
}

/** What each roll-up should say: its key, its time, its number, from the rows; and the view that reads it. */
const CHECKS = [
  {
    rollup: 'messages_hourly',
    time: 'hour',
    span: '1 HOUR',
    keys: ['hour', 'venue_id', 'channel', 'direction', 'language'],
    value: '(messages, conversations)',
    raw: `SELECT toStartOfHour(at)::DateTime('UTC') AS hour, venue_id, channel, if(kind = 'message_in', 'in', 'out') AS direction,
        language, uniqExact(message_id) AS messages, uniqExact(conversation_id) AS conversations
      FROM conversation_events WHERE kind IN ('message_in', 'message_out') GROUP BY hour, venue_id, channel, direction, language`,
  },
  {
    rollup: 'commands_daily',
    time: 'day',
    span: '1 DAY',
    keys: ['day', 'venue_id', 'kind', 'outcome', 'reason'],
    value: 'commands',
    raw: `SELECT toDate(at) AS day, venue_id, kind, outcome, reason, uniqExact(request_id, zone_id) AS commands
      FROM commands WHERE outcome != '' GROUP BY day, venue_id, kind, outcome, reason`,
  },
  {
    rollup: 'identification_daily',
    time: 'day',
    span: '1 DAY',
    keys: ['day', 'channel', 'language'],
    value: '(opened, identified, handed_over)',
    raw: `SELECT toDate(at) AS day, channel, language, uniqExactIf(conversation_id, kind = 'opened') AS opened,
        uniqExactIf(conversation_id, kind = 'identified') AS identified,
        uniqExactIf(conversation_id, kind = 'owner_changed' AND after = 'waiting') AS handed_over
      FROM conversation_events WHERE kind IN ('opened', 'identified') OR (kind = 'owner_changed' AND after = 'waiting')
      GROUP BY day, channel, language`,
  },
  {
    rollup: 'zone_changes_daily',
    time: 'day',
    span: '1 DAY',
    keys: ['day', 'venue_id', 'zone_id'],
    value: 'changes',
    raw: `SELECT toDate(at) AS day, venue_id, zone_id, arraySort(groupUniqArray((at, status::String))) AS changes
      FROM zone_states GROUP BY day, venue_id, zone_id`,
  },
] as const

/**
 * The differences, at most 100 of each roll-up.
 * @param before leaves out hours and days that end later (ms since the epoch): an insert reaches a table a moment before its roll-ups. An hour ago
 *   where it is not given. What is older than 23 months is left out too: its rows are about to go, the roll-ups stay.
 */
export async function reconcile(client: ClickHouseClient, before: number = Date.now() - 3_600_000): Promise<Difference[]> {
  const differences: Difference[] = []
  for (const { rollup, time, span, keys, value, raw } of CHECKS) {
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
