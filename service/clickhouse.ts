/** Starts ClickHouse, gives analysts their access, and checks that its roll-ups agree with their rows. */
import { createHmac } from 'node:crypto'
import type { ClickHouseRouteOptions } from '../api/analytics/clickhouse.ts'
import type { DependencyStatus } from '../api/health.ts'
import { ROLES } from '../config.ts'
import { messageOf } from '../engine/errors.ts'
import { analystsOf } from '../sinks/clickhouse/analyst.ts'
import type { clickHouseClient } from '../sinks/clickhouse/client.ts'
import { reconcile } from '../sinks/clickhouse/reconcile.ts'
import type { Parts } from './parts.ts'
import { optional } from './readiness.ts'
import { openClickHouse } from './stores.ts'

/** Analytics: where there are none, the service does everything else. */
export async function startClickHouse({ settings, logger, closers, dependencies }: Parts): Promise<string | null> {
  try {
    if (settings.clickhouseUrl === null && settings.roles.length < ROLES.length)
      throw new Error('roles in processes of their own share a ClickHouse: set CLICKHOUSE_URL')
    const clickhouse = await openClickHouse(settings, logger)
    closers.push(() => clickhouse.stop())
    dependencies.clickhouse = () => optional(clickhouse.status())
    return clickhouse.url
  } catch (error) {
    const detail = `analytics are not available: ${messageOf(error)}`
    logger.warn(detail)
    dependencies.clickhouse = () => ({ status: 'degraded', detail })
    return null
  }
}

/** On a server, analysts ask as a user who may only read; where there is none, they are refused, and readiness says why. */
export function analystAccess({ settings, dependencies }: Parts, url: string, tenantKey: string): ClickHouseRouteOptions {
  if (settings.clickhouseUrl === null) return { url }
  const analysts = analystsOf(url, createHmac('sha256', tenantKey).update('clickhouse-analyst').digest('base64url'))
  analysts.user().catch(() => {}) // `refused` reports it, and the next statement tries again
  const server = dependencies.clickhouse as () => DependencyStatus
  dependencies.clickhouse = () => ({ ...server(), ...(server().status === 'up' ? { detail: analysts.refused() ?? '' } : {}) })
  return { url, analyst: analysts.user }
}

/** How often roll-ups are checked against their rows. */
const RECONCILE_MS = 60 * 60_000

export function scheduleReconcile({ logger, closers }: Parts, client: ReturnType<typeof clickHouseClient>): void {
  const check = async () => {
    try {
      const differences = await reconcile(client)
      if (differences.length > 0)
        logger.error({ differences: differences.slice(0, 5) }, 'ClickHouse roll-ups differ from their rows')
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'ClickHouse roll-ups could not be checked')
    }
  }
  const timer = setInterval(() => void check(), RECONCILE_MS).unref()
  closers.push(() => clearInterval(timer))
}
