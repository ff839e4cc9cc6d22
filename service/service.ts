/**
 * The service: what is started, and in which order.
 *
 *   log ─▶ stores ─▶ processors, connectors ─▶ sinks ─▶ api        (by ROLES; stopped in the opposite order)
 */
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { DependencyStatus } from '../api/health.ts'
import { RequestCache } from '../api/request-cache.ts'
import { withTimeout } from '../domain/timeout.ts'
import { startApi, startHealth } from '../api/server.ts'
import type { Config } from '../config.ts'
import { sheets } from '../connectors/sheets/index.ts'
import { CacheBudget } from '../engine/generational-cache.ts'
import { LmdbStores } from '../engine/lmdb.ts'
import { listenForChanges, tellPeopleChanged } from '../sinks/postgres/changes.ts'
import { erasedRows } from '../sinks/postgres/erasures.ts'
import { openPool } from '../sinks/postgres/pool.ts'
import { Codec } from '../topics/codec.ts'
import { lockFile } from '../topics/lock.ts'
import { actorsOf, taskActor, topicsOf } from './actors.ts'
import { analystAccess, startClickHouse } from './clickhouse.ts'
import { startConnectors } from './connectors.ts'
import { openFolder, settleLog } from './folder.ts'
import { openLogger } from './logger.ts'
import type { Parts } from './parts.ts'
import { startProcessors } from './processors.ts'
import { LOG_MS, noChannel, optional, publicSettings, reachable } from './readiness.ts'
import { startHot } from './redis.ts'
import { loadOrCreateSecret } from './secrets.ts'
import { startSinks } from './sinks.ts'
import { startTenants } from './tenants.ts'
import { openLog, openPostgres } from './stores.ts'

/** Tells, once at most for each cause, what the service cannot get over by itself. */
type OnFatal = (what: string, error: Error) => void

export interface Service {
  /** Resolves with its address. @throws what kept it from starting; what had started by then is stopped. */
  start(): Promise<string>
  /** @param partMs what each part may take, ms; without, as long as it needs */
  stop(partMs?: number): Promise<void>
}

export function serviceOf(settings: Config, onFatal: OnFatal): Service {
  const { logger, flush } = openLogger(settings.logLevel)
  const closers: Parts['closers'] = []
  const stop = async (partMs?: number) => {
    for (const close of closers.splice(0).reverse()) {
      try {
        await (partMs === undefined ? close() : withTimeout(Promise.resolve(close()), partMs))
      } catch (error) {
        logger.error({ err: error }, 'a part of the service failed to stop')
      }
    }
    flush()
  }
  const starting = async () => {
    try {
      return await start(settings, logger, closers, onFatal)
    } catch (error) {
      await stop()
      throw error
    }
  }
  return { start: starting, stop }
}

async function start(settings: Config, logger: Logger, closers: Parts['closers'], onFatal: OnFatal): Promise<string> {
  const { dataDir, roles } = settings
  const kind = openFolder(settings, logger)
  const onError = (what: string, error: unknown) => logger.error({ err: error }, what)
  const actors = actorsOf(settings)
  const topics = topicsOf(actors)
  // Two processes with one name would each take the other for an earlier run of itself. A local log has its own lock.
  if (settings.kafka !== null && roles.some(role => role !== 'api')) {
    const lock = lockFile(join(dataDir, 'instance.lock'))
    closers.push(() => lock.release())
  }
  // The log comes first: a local log belongs to one process, which then owns the folder.
  let closed: Error | null = null
  const onClosed = (error: Error) => {
    closed = error
    onFatal('the log closed itself', error)
  }
  const { log, registry } = await openLog(settings, topics, logger, { onError, onClosed })
  closers.push(() => log.close())
  const codec = await Codec.open(registry, topics)
  if (settings.kafka !== null) await settleLog(kind, log, codec, topics)
  const onLost = (error: Error) => onFatal('the state stores are lost', error)
  const cache = new CacheBudget(settings.cacheBytes)
  const shared = { settings, logger, onError, onLost, log, codec, cache, closers }
  const parts: Parts = { ...shared, dependencies: {}, readers: {}, workers: {} }

  const demo = kind === 'demo' ? await (await import('../demo/demo.ts')).startDemo({ dataDir }) : null
  if (demo !== null) closers.push(() => demo.close())
  const connectors = settings.connectors(demo?.environment)
  const channels = connectors.filter(({ connector }) => connector.channel !== null)
  if (channels.length === 0 && roles.includes('connectors')) parts.dependencies.channels = () => noChannel()

  const serves = roles.includes('api') || roles.includes('sinks')
  const postgres = serves ? await openPostgres(settings, logger) : null
  if (postgres !== null) closers.push(() => postgres.close())
  const url = postgres?.url ?? null
  if (roles.includes('processors') || roles.includes('connectors')) {
    const hasSheet = connectors.some(({ name }) => name === sheets.name)
    const stores = LmdbStores.open(join(dataDir, 'state'))
    closers.push(() => stores.close())
    const tenants = startTenants(parts)
    await tenants.caughtUp
    if (roles.includes('processors')) await startProcessors(parts, actors, stores, tenants, hasSheet)
    if (roles.includes('connectors')) await startConnectors(parts, actors, stores, connectors, tenants.countryCode)
  }
  const clickhouse = serves ? await startClickHouse(parts) : null
  if (url !== null && roles.includes('sinks')) await startSinks(parts, url, clickhouse)

  const { dependencies, readers, workers } = parts
  const reached = new RequestCache<DependencyStatus>(LOG_MS, 1)
  dependencies.log = () =>
    closed === null ? reached.get('log', () => reachable(log)) : { status: 'down', detail: closed.message }
  const { host, port, ownPort, metricsToken, publicDetails } = settings
  const server = { host, port, ownPort, metricsToken, publicDetails, log, logger, dependencies, readers, workers }
  if (url === null || !roles.includes('api')) {
    const health = await startHealth(server)
    closers.push(() => health.close())
    return health.url
  }
  const pool = openPool({ url, log: logger, name: 'api', statementTimeoutMs: 5_000 })
  closers.push(() => pool.end())
  // Where sinks run, too, they say more of it.
  dependencies.postgres ??= () => pool.query('SELECT 1').then(() => ({ status: 'up', detail: '' }))
  const hot = await startHot(parts)
  const { redis } = hot
  if (redis !== null)
    dependencies.redis ??= () => optional({ status: redis.status === 'ready' ? 'up' : 'down', detail: redis.status })
  const tenantKey = settings.tenantKey ?? loadOrCreateSecret(join(dataDir, 'tenant.key'), 24, settings.tenantKeyKept)
  const page = demo?.page({ log, codec })
  const api = await startApi({
    ...server,
    adminToken: settings.adminToken ?? loadOrCreateSecret(join(dataDir, 'admin.token'), 24),
    channels,
    tenantKey,
    jwt: settings.jwt,
    auditFolder: join(dataDir, 'audit'),
    sessionKey: settings.sessionKey ?? loadOrCreateSecret(join(dataDir, 'session.key'), 32),
    corsOrigins: settings.corsOrigins,
    trustedProxies: settings.trustedProxies,
    limits: settings.limits,
    redis: hot.redis,
    hot: hot.hot,
    changes: {
      listen: listener => listenForChanges({ url, pool, log: logger }, listener),
      people: () => tellPeopleChanged(pool),
    },
    settings: publicSettings(settings),
    actors: actors.map(taskActor),
    clickhouse: clickhouse === null ? null : analystAccess(parts, clickhouse, tenantKey),
    codec,
    pool,
    erased: erasedRows(pool),
    ...(page === undefined ? {} : { extend: page }),
  })
  closers.push(() => api.close())
  dependencies.audit = () => {
    const { failing } = api.audit()
    return { status: failing === null ? 'up' : 'degraded', detail: failing ?? '' }
  }
  demo?.connect(api.url)
  return api.url
}
