/** What readiness says of the log, of what is optional, and of the settings. */
import type { DependencyStatus } from '../api/health.ts'
import type { Config } from '../config.ts'
import { CONNECTORS } from '../connectors/index.ts'
import { auditLog } from '../topics/catalog.ts'
import type { Log } from '../topics/log.ts'

/** How old the answer may be whether the log can be reached, ms. */
export const LOG_MS = 1_000

export async function reachable(log: Log): Promise<DependencyStatus> {
  await log.ends(auditLog.name)
  return { status: 'up', detail: '' }
}

/** Of an installation without a channel: which settings one of them needs. */
export function noChannel(): DependencyStatus {
  const needed = CONNECTORS.filter(({ channel }) => channel !== null).map(({ settings }) => settings.required.join(', '))
  return { status: 'degraded', detail: `no channel is configured: set ${needed.join('; or ')}` }
}

/** The status of a dependency that the service can do without: it degrades readiness, and never fails it. */
export function optional({ status, detail }: DependencyStatus): DependencyStatus {
  return { status: status === 'down' ? 'degraded' : status, detail }
}

/** Names that the settings have for connectors under another. */
const SHOWN_AS: Readonly<Record<string, string>> = { sheets: 'venuesCsv' }

/** What administrators may see of the settings. */
export function publicSettings({ roles, timeScale, kafka, demo, corsOrigins, ...settings }: Config) {
  const configured = settings.connectors().map(({ name }) => name)
  return {
    roles: roles.join(','),
    log: kafka === null ? 'local' : 'kafka',
    postgres: settings.databaseUrl === null ? 'embedded' : 'server',
    redis: settings.redisUrl === null ? 'in process' : 'server',
    clickhouse: settings.clickhouseUrl === null ? 'embedded' : 'server',
    timeScale,
    demo,
    ...Object.fromEntries(CONNECTORS.map(({ name }) => [SHOWN_AS[name] ?? name, configured.includes(name)])),
    crmTokens: settings.jwt !== null,
    corsOrigins: corsOrigins.join(','),
  }
}
