/** What readiness says of the log, of what is optional, and of the settings. */
import type { DependencyStatus } from '../api/health.ts'
import type { Config } from '../config.ts'
import { auditLog } from '../topics/catalog.ts'
import type { Log } from '../topics/log.ts'

/** How old the answer may be whether the log can be reached, ms. */
export const LOG_MS = 1_000

export async function reachable(log: Log): Promise<DependencyStatus> {
  await log.ends(auditLog.name)
  return { status: 'up', detail: '' }
}

/** The status of a dependency that the service can do without: it degrades readiness, and never fails it. */
export function optional({ status, detail }: DependencyStatus): DependencyStatus {
  return { status: status === 'down' ? 'degraded' : status, detail }
}

/** What administrators may see of the settings. */
export function publicSettings({ roles, controlTrust, timeScale, kafka, demo, corsOrigins, ...settings }: Config) {
  return {
    roles: roles.join(','),
    log: kafka === null ? 'local' : 'kafka',
    postgres: settings.databaseUrl === null ? 'embedded' : 'server',
    redis: settings.redisUrl === null ? 'in process' : 'server',
    clickhouse: settings.clickhouseUrl === null ? 'embedded' : 'server',
    controlTrust,
    timeScale,
    demo,
    whatsapp: settings.whatsapp !== null,
    soundtrack: settings.soundtrack !== null,
    venuesCsv: settings.venuesCsv !== null,
    crmTokens: settings.jwt !== null,
    corsOrigins: corsOrigins.join(','),
  }
}
