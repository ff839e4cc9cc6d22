/**
 * Starts the service: `npm start`. With nothing configured, everything runs in this process on one folder, with the demo world.
 *
 *   log ─▶ stores ─▶ processors, connectors ─▶ sinks ─▶ api        (by ROLES; stopped in the opposite order)
 */
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import type { ClickHouseRouteOptions } from './api/clickhouse.ts'
import type { Dependencies, DependencyStatus } from './api/health.ts'
import { Memo } from './api/memo.ts'
import type { Workers } from './api/metrics.ts'
import { inTime } from './api/people/deadline.ts'
import { startApi, startHealth } from './api/server.ts'
import type { TaskActor } from './api/tasks.ts'
import { WorkerHealth } from './api/workers.ts'
import { type Config, ConfigError, configFrom, environment, ROLES } from './config.ts'
import { SHEETS_DEFAULTS, sheetsActor } from './connectors/sheets/actor.ts'
import { sheetFilePort } from './connectors/sheets/file.ts'
import { SheetReadiness } from './connectors/sheets/readiness.ts'
import { watchSheet } from './connectors/sheets/watch.ts'
import { soundtrackActor } from './connectors/soundtrack/actor.ts'
import { soundtrackClient } from './connectors/soundtrack/client.ts'
import { soundtrackPorts } from './connectors/soundtrack/ports.ts'
import { SOUNDTRACK_SETTINGS } from './connectors/soundtrack/settings.ts'
import { WHATSAPP_DEFAULTS, whatsappActor } from './connectors/whatsapp/actor.ts'
import { whatsappPorts } from './connectors/whatsapp/ports.ts'
import { Ending } from './ending.ts'
import type { ActorDefinition, Port } from './engine/actor.ts'
import { CacheBudget } from './engine/generational-cache.ts'
import { RECORD_ID } from './engine/headers.ts'
import { messageOf } from './engine/errors.ts'
import { LmdbStores } from './engine/lmdb.ts'
import { startProjection } from './engine/projection.ts'
import { Worker, type WorkerSettings } from './engine/worker.ts'
import { openLogger } from './logger.ts'
import { openFolder, settleLog } from './folder.ts'
import { kept, keptSecret, openClickHouse, openLog, openPostgres } from './open.ts'
import { conversationActor } from './processors/conversation/actor.ts'
import { defaultConversationSettings } from './processors/conversation/settings.ts'
import { understandLookup, understandPort } from './processors/understanding/port.ts'
import { VenueIndex } from './processors/understanding/venues.ts'
import { venueActor } from './processors/venue/actor.ts'
import { VENUE_DEFAULTS } from './processors/venue/settings.ts'
import { analystsOf } from './sinks/clickhouse/analyst.ts'
import { openClickHouse as openClickHouseClient } from './sinks/clickhouse/client.ts'
import { reconcile } from './sinks/clickhouse/reconcile.ts'
import { migrateClickHouse } from './sinks/clickhouse/migrate.ts'
import { clickhouseStore } from './sinks/clickhouse/store.ts'
import { listenForChanges, tellPeopleChanged } from './sinks/postgres/changes.ts'
import { erasedRows } from './sinks/postgres/erasures.ts'
import { openPool } from './sinks/postgres/pool.ts'
import { startRetention } from './sinks/postgres/retention.ts'
import { startPostgresSink } from './sinks/postgres/sink.ts'
import { MemoryCache } from './sinks/redis/cache.ts'
import { Hot } from './sinks/redis/hot.ts'
import { openRedis, RedisCache } from './sinks/redis/redis.ts'
import { CACHED, entriesOf, redisStore } from './sinks/redis/store.ts'
import { type Sink, startSink } from './sinks/sink.ts'
import { allTopics, auditLog, changelog, sheetsInbox, syncLog, type Topic, venueProfiles } from './topics/catalog.ts'
import { Codec, type Decoded } from './topics/codec.ts'
import { lockFile } from './topics/lock.ts'
import type { Log, LogRecord, Position } from './topics/log.ts'

type Actor = ActorDefinition
type ActorPorts = Readonly<Record<string, Port>>

/** What the parts of the service share while it starts and runs. */
interface Parts {
  readonly settings: Config
  readonly logger: pino.Logger
  readonly onError: (what: string, error: unknown) => void
  /** What is lost for this process ends it. */
  readonly onLost: (error: Error) => void
  readonly log: Log
  readonly codec: Codec
  /** Decoded actors of all workers. */
  readonly cache: CacheBudget
  /** Called in the opposite order. */
  readonly closers: (() => Promise<unknown> | unknown)[]
  readonly dependencies: Record<string, Dependencies[string]>
  readonly readers: Record<string, () => readonly Position[]>
  readonly workers: Record<string, Workers[string]>
}

/** Tells, once at most for each cause, what the service cannot get over by itself. */
type Broken = (what: string, error: Error) => void

export interface Service {
  /** Resolves with its address. @throws what kept it from starting; what had started by then is stopped. */
  start(): Promise<string>
  /** @param partMs what each part may take, ms; without, as long as it needs */
  stop(partMs?: number): Promise<void>
}

export function serviceOf(settings: Config, broken: Broken): Service {
  const { logger, flush } = openLogger(settings.logLevel)
  const closers: Parts['closers'] = []
  const stop = async (partMs?: number) => {
    for (const close of closers.splice(0).reverse()) {
      try {
        await (partMs === undefined ? close() : inTime(Promise.resolve(close()), partMs))
      } catch (error) {
        logger.error({ err: error }, 'while stopping')
      }
    }
    flush()
  }
  const starting = async () => {
    try {
      return await start(settings, logger, closers, broken)
    } catch (error) {
      await stop()
      throw error
    }
  }
  return { start: starting, stop }
}

async function start(settings: Config, logger: pino.Logger, closers: Parts['closers'], broken: Broken): Promise<string> {
  const { dataDir, roles } = settings
  const kind = openFolder(settings, logger)
  const onError = (what: string, error: unknown) => logger.error({ err: error }, what)
  const actors = actorsOf(settings)
  const topics = topicsOf(actors)
  // Two with one name would take each other for an earlier life of themselves. A local log is locked itself.
  if (settings.kafka !== null && roles.some(role => role !== 'api')) {
    const lock = lockFile(join(dataDir, 'instance.lock'))
    closers.push(() => lock.release())
  }
  // The log comes first: a local one belongs to one process, and whoever has it has the folder.
  let closed: Error | null = null
  const onClosed = (error: Error) => {
    closed = error
    broken('the log closed itself', error)
  }
  const { log, registry } = await openLog(settings, topics, logger, { onError, onClosed })
  closers.push(() => log.close())
  const codec = await Codec.open(registry, topics)
  if (settings.kafka !== null) await settleLog(kind, log, codec, topics)
  const onLost = (error: Error) => broken('the state stores are lost', error)
  const cache = new CacheBudget(settings.cacheBytes)
  const shared = { settings, logger, onError, onLost, log, codec, cache, closers }
  const parts: Parts = { ...shared, dependencies: {}, readers: {}, workers: {} }

  const demo = kind === 'demo' ? await (await import('./demo/demo.ts')).startDemo({ dataDir }) : null
  if (demo !== null) closers.push(() => demo.close())
  const outside: Outside = { ...settings, ...demo, ...(demo !== null && { sheetSource: 'demo' }) }
  if (outside.whatsapp === null && roles.includes('connectors'))
    parts.dependencies.channels = () => ({ status: 'degraded', detail: 'no channel is configured: set WHATSAPP_…' })

  const serves = roles.includes('api') || roles.includes('sinks')
  const postgres = serves ? await openPostgres(settings, logger) : null
  if (postgres !== null) closers.push(() => postgres.close())
  const url = postgres?.url ?? null
  if (roles.includes('processors') || roles.includes('connectors')) {
    const stores = LmdbStores.open(join(dataDir, 'state'))
    closers.push(() => stores.close())
    if (roles.includes('processors')) await startProcessors(parts, actors, stores, outside)
    if (roles.includes('connectors')) await startConnectors(parts, actors, stores, outside)
  }
  const clickhouse = serves ? await startClickHouse(parts) : null
  if (url !== null && roles.includes('sinks')) await startSinks(parts, url, clickhouse)

  const { dependencies, readers, workers } = parts
  const reached = new Memo<DependencyStatus>(LOG_MS, 1)
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
    dependencies.redis ??= () => lessened({ status: redis.status === 'ready' ? 'up' : 'down', detail: redis.status })
  const tenantKey = settings.tenantKey ?? keptSecret(join(dataDir, 'tenant.key'), 24, settings.tenantKeyKept)
  const page = demo?.page({ log, codec })
  const api = await startApi({
    ...server,
    adminToken: settings.adminToken ?? keptSecret(join(dataDir, 'admin.token'), 24),
    whatsapp: outside.whatsapp,
    tenantKey,
    jwt: settings.jwt,
    auditFolder: join(dataDir, 'audit'),
    sessionKey: settings.sessionKey ?? keptSecret(join(dataDir, 'session.key'), 32),
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
    actors: Object.values(WORKERS).flatMap(({ group, of }) => of.map(actor => taskActor(group, actors[actor]))),
    clickhouse: clickhouse === null ? null : analystsOn(parts, clickhouse, tenantKey),
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

/** The actors of the service, under these settings. */
export function actorsOf({ controlTrust, timeScale, providers: { firstWordMs, tryMs } }: Config) {
  return {
    conversation: conversationActor({
      ...defaultConversationSettings,
      tryMs,
      controlTrust: controlTrust.toUpperCase() as 'CLAIMED' | 'HINTED' | 'BOUND',
      timeScale,
    }),
    venue: venueActor({ ...VENUE_DEFAULTS, controlTrust, timeScale, firstWordMs, commandMs: tryMs }),
    whatsapp: whatsappActor({ ...WHATSAPP_DEFAULTS, timeScale }),
    soundtrack: soundtrackActor({ ...SOUNDTRACK_SETTINGS, timeScale }),
    sheets: sheetsActor({ ...SHEETS_DEFAULTS, timeScale }),
  }
}
type Actors = ReturnType<typeof actorsOf>

/**
 * Which worker has which actors. What is sent to people does not wait in one cycle with what is read of providers. Whoever had both
 * was the group of the connectors: the channels go on in it, so that no message is sent by two versions at a time; the sources have
 * one of their own, and go on where their changelogs say.
 */
const WORKERS = {
  processors: { group: 'processors', of: ['conversation', 'venue'] },
  channels: { group: 'connectors', of: ['whatsapp'] },
  sources: { group: 'sources', of: ['soundtrack', 'sheets'] },
} as const satisfies Record<string, { readonly group: string; readonly of: readonly (keyof Actors)[] }>

function taskActor(group: string, { name, inbox }: Actors[keyof Actors]): TaskActor {
  return { name, inbox: inbox.name, changelog: changelog(name, inbox).name, group: groupOf(group) }
}

function groupOf(name: string): string {
  return `bma.${name}`
}

function topicsOf(actors: Actors): Topic[] {
  return [...allTopics(), ...Object.values(actors).map(a => changelog(a.name, a.inbox))]
}

/** Every topic that the service has with these settings. */
export function serviceTopics(settings: Config): Topic[] {
  return topicsOf(actorsOf(settings))
}

/** How old the answer may be whether the log can be reached, ms. */
const LOG_MS = 1_000

async function reachable(log: Log): Promise<DependencyStatus> {
  await log.ends(auditLog.name)
  return { status: 'up', detail: '' }
}

function workerOf(
  parts: Parts,
  stores: LmdbStores,
  name: keyof typeof WORKERS,
  actors: readonly Actor[],
  ports: WorkerSettings['ports'],
  lookups: WorkerSettings['lookups'] = {},
) {
  const { log, codec, cache, onError, closers } = parts
  const { group } = WORKERS[name]
  const worker = new Worker({
    log,
    codec,
    actors,
    ports,
    lookups,
    group: groupOf(group),
    instance: instanceOf(parts, group),
    codeVersion: codeVersion(),
    openStore: async (actor, partition) => stores.store(actor, partition),
    stores,
    cache,
    onError,
    onLost: parts.onLost,
  })
  const health = new WorkerHealth(() => worker.status())
  closers.push(() => health.close())
  parts.workers[name] = () => worker.status()
  parts.dependencies[name] = () => health.check()
  return worker
}

type Outside = Pick<
  Config,
  'whatsapp' | 'soundtrack' | 'venuesCsv' | 'sheetDateOrder' | 'sheetAccept' | 'timeScale' | 'providers'
> & {
  /** Whose the sheet is, where its path does not say it. */
  readonly sheetSource?: string
}

async function startProcessors(
  parts: Parts,
  { conversation, venue }: Actors,
  stores: LmdbStores,
  outside: Outside,
): Promise<void> {
  const { log, codec, closers, onError, dependencies } = parts
  const index = new VenueIndex()
  const venues = startProjection({
    log,
    codec,
    topic: venueProfiles,
    onError: error => onError('venue index', error),
    apply: (key, decoded) => {
      if (decoded?.type === 'VenueProfile' && !decoded.value.removed) index.upsert(decoded.value)
      else index.remove(key)
    },
  })
  closers.push(() => venues.close())
  const sheet = new SheetReadiness()
  const runs = startProjection({
    log,
    codec,
    topic: syncLog,
    onError: error => onError('synchronisations', error),
    apply: (_key, decoded) => {
      if (decoded?.type === 'SyncRun' && decoded.value.source.startsWith('sheets:')) sheet.ran(decoded.value)
    },
  })
  closers.push(() => runs.close())
  await Promise.all([venues.caughtUp, runs.caughtUp])
  dependencies.venues = () => sheet.status(index.size, outside.venuesCsv !== null)

  const ports = { conversation: { understand: understandPort({ index }) } as unknown as ActorPorts }
  const lookups = { conversation: { understand: understandLookup({ index }) } } as unknown as WorkerSettings['lookups']
  const worker = workerOf(parts, stores, 'processors', [conversation, venue] as unknown as Actor[], ports, lookups)
  await worker.start()
  closers.push(() => worker.stop())
}

async function startConnectors(parts: Parts, actors: Actors, stores: LmdbStores, outside: Outside): Promise<void> {
  const { log, codec, closers } = parts
  const { timeScale, venuesCsv, sheetDateOrder: dateOrder, sheetAccept: accept, sheetSource: source, providers } = outside
  const limit = { firstMs: providers.limitMs, mostMs: providers.limitMostMs }
  const opening = { probeMs: providers.breakerProbeMs, mostMs: providers.breakerMostMs }
  const connected: { worker: 'channels' | 'sources'; actor: Actor; ports: ActorPorts }[] = []
  const connect = (worker: 'channels' | 'sources', actor: unknown, ports: unknown) =>
    connected.push({ worker, actor: actor as Actor, ports: ports as ActorPorts })
  if (outside.whatsapp !== null) {
    const breaker = { ...opening, rate: { share: providers.channelShare, calls: providers.channelCalls } }
    const { ports, close } = whatsappPorts({ ...outside.whatsapp, timeScale, breaker, limit })
    connect('channels', actors.whatsapp, ports)
    closers.push(close)
  }
  if (outside.soundtrack !== null) {
    const breaker = { ...opening, failures: providers.breakerFailures }
    const client = soundtrackClient({ ...outside.soundtrack, timeScale, breaker, limit })
    connect('sources', actors.soundtrack, soundtrackPorts(client, { settings: { ...SOUNDTRACK_SETTINGS, timeScale } }))
    closers.push(() => client.close())
  }
  if (venuesCsv !== null)
    connect('sources', actors.sheets, { read: sheetFilePort({ file: venuesCsv, dateOrder, accept, ...(source && { source }) }) })
  for (const [name, of] of Map.groupBy(connected, c => c.worker)) {
    const ports = Object.fromEntries(of.map(({ actor, ports }) => [actor.name, ports]))
    const connecting = of.map(c => c.actor)
    const worker = workerOf(parts, stores, name, connecting, ports)
    await worker.start()
    closers.push(() => worker.stop())
  }
  if (venuesCsv === null) return
  const readNow = async (reason: string) => {
    const value = codec.encode(sheetsInbox.name, 'SyncNow', { reason })
    await log.append([{ topic: sheetsInbox.name, key: SHEET, value, headers: { [RECORD_ID]: randomBytes(12).toString('hex') } }])
  }
  const watch = watchSheet({ file: venuesCsv, changed: () => readNow('changed') })
  closers.push(() => watch.close())
  await readNow('start')
}

/** Analytics: where there are none, the service does everything else. */
async function startClickHouse({ settings, logger, closers, dependencies }: Parts): Promise<string | null> {
  try {
    if (settings.clickhouseUrl === null && settings.roles.length < ROLES.length)
      throw new Error('roles in processes of their own share a ClickHouse: set CLICKHOUSE_URL')
    const clickhouse = await openClickHouse(settings, logger)
    closers.push(() => clickhouse.stop())
    dependencies.clickhouse = () => lessened(clickhouse.status())
    return clickhouse.url
  } catch (error) {
    const detail = `there are no analytics: ${messageOf(error)}`
    logger.warn(detail)
    dependencies.clickhouse = () => ({ status: 'degraded', detail })
    return null
  }
}

async function startSinks(parts: Parts, url: string, clickhouse: string | null): Promise<void> {
  const { log, codec, logger, settings, closers, dependencies, readers } = parts
  const pool = openPool({ url, log: logger, name: 'sink' })
  closers.push(() => pool.end())
  const instance = instanceOf(parts, 'sinks')
  const { messageRetentionDays: keepDays } = settings
  const run = async (name: string, starting: Promise<Sink>) => {
    const sink = await starting
    closers.push(() => sink.close())
    readers[`bma.sinks.${name}`] = () => sink.positions()
    return sink
  }
  const postgres = await run(
    'postgres',
    startPostgresSink({ log, codec, pool, logger, instance, lingerMs: LINGER_MS.soon, keepDays }),
  )
  if (keepDays !== null) {
    const retention = startRetention({ pool, days: keepDays, logger })
    closers.push(() => retention.close())
  }
  dependencies.postgres = () => postgres.status()
  if (parts.settings.redisUrl !== null) {
    const store = redisStore(openRedisOf(parts, parts.settings.redisUrl, SINK_REDIS_MS))
    const cache = await run('redis', startSink({ log, codec, store, logger, instance, lingerMs: LINGER_MS.soon }))
    dependencies.redis = () => lessened(cache.status())
  }
  if (clickhouse === null) return
  const client = openClickHouseClient(clickhouse)
  closers.push(() => client.close())
  const store = clickhouseStore({ client, pool })
  let migrated = false
  const claim: typeof store.claim = async partitions => {
    if (!migrated) await migrateClickHouse({ client, pool })
    migrated = true
    return store.claim(partitions)
  }
  // One that is inside has all of the log for itself.
  const share = settings.kafka !== null && settings.clickhouseUrl === null ? { group: `bma.sinks.clickhouse.${instance}` } : {}
  const analytics = await run(
    'clickhouse',
    startSink({ log, codec, store: { ...store, claim }, logger, instance, lingerMs: LINGER_MS.analytics, ...share }),
  )
  reconcileNowAndThen(parts, client)
  const server = dependencies.clickhouse as () => DependencyStatus
  dependencies.clickhouse = () => (server().status === 'up' ? lessened(analytics.status()) : server())
}

/** On a server, analysts ask as a user who may only read; where there is none, they are refused, and readiness says why. */
function analystsOn({ settings, dependencies }: Parts, url: string, tenantKey: string): ClickHouseRouteOptions {
  if (settings.clickhouseUrl === null) return { url }
  const analysts = analystsOf(url, createHmac('sha256', tenantKey).update('clickhouse-analyst').digest('base64url'))
  analysts.user().catch(() => {}) // told by `refused`, and tried again with the next statement
  const server = dependencies.clickhouse as () => DependencyStatus
  dependencies.clickhouse = () => ({ ...server(), ...(server().status === 'up' ? { detail: analysts.refused() ?? '' } : {}) })
  return { url, analyst: analysts.user }
}

/** Whether roll-ups say what their rows say. */
const RECONCILE_MS = 60 * 60_000

function reconcileNowAndThen({ logger, closers }: Parts, client: ReturnType<typeof openClickHouseClient>): void {
  const check = async () => {
    try {
      const differences = await reconcile(client)
      if (differences.length > 0)
        logger.error({ differences: differences.slice(0, 5) }, 'roll-ups of ClickHouse differ from their rows')
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'roll-ups could not be checked')
    }
  }
  const timer = setInterval(() => void check(), RECONCILE_MS).unref()
  closers.push(() => clearInterval(timer))
}

/** What the API reads is there at once; ClickHouse wants few large inserts. */
const LINGER_MS = { soon: 5, analytics: 1_000 }
/** A look-up that takes longer is made in the serving store. */
const API_REDIS_MS = 50
const SINK_REDIS_MS = 5_000

function openRedisOf({ logger, closers }: Parts, url: string, timeoutMs: number): Redis {
  let told = false
  const onError = (error: Error) => {
    if (!told) logger.warn({ reason: error.message }, 'Redis cannot be reached')
    told = true
  }
  const redis = openRedis(url, { timeoutMs, onError })
  redis.on('ready', () => {
    told = false
  })
  closers.push(() => redis.disconnect())
  return redis
}

/** Hot look-ups: in Redis, where the sink keeps them; otherwise in this process, which reads the log for them. */
async function startHot(parts: Parts): Promise<{ hot: Hot; redis: Redis | null }> {
  const { settings, log, codec, closers, onError } = parts
  if (settings.redisUrl !== null) {
    const redis = openRedisOf(parts, settings.redisUrl, API_REDIS_MS)
    return { hot: new Hot(new RedisCache(redis)), redis }
  }
  const cache = new MemoryCache()
  for (const topic of CACHED) {
    const apply = (_key: string, decoded: Decoded | null, record: LogRecord) => void cache.put(entriesOf(record, decoded))
    const projection = startProjection({ log, codec, topic, apply, onError: error => onError('hot look-ups', error) })
    closers.push(() => projection.close())
  }
  return { hot: new Hot(cache), redis: null }
}

/** What administrators may see of the settings. */
function publicSettings({ roles, controlTrust, timeScale, kafka, demo, corsOrigins, ...settings }: Config) {
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

/** What is down keeps the service from nothing that people wait for. */
function lessened({ status, detail }: DependencyStatus): DependencyStatus {
  return { status: status === 'down' ? 'degraded' : status, detail }
}

/** A name of this process that stays over restarts. */
function instanceOf({ settings: { kafka, dataDir } }: Parts, name: string): string {
  return kafka === null ? name : `${name}.${kept(join(dataDir, 'instance.id'), 9)}`
}

/** Key of the one sheet there is. */
const SHEET = 'main'

/** Names the code that decides: it changes when any of its files does. */
export function codeVersion(): string {
  const digest = createHash('sha256')
  for (const folder of ['engine', 'processors', 'connectors', 'domain', 'schemas', 'topics']) {
    const files = readdirSync(join(import.meta.dirname, folder), { recursive: true, withFileTypes: true })
    const named = files.filter(f => f.isFile() && !f.name.endsWith('.test.ts')).map(f => join(f.parentPath, f.name))
    for (const file of named.sort()) digest.update(readFileSync(file))
  }
  return digest.digest('hex').slice(0, 12)
}

async function main(): Promise<void> {
  // Whatever this process and its children make is for their user alone.
  process.umask(0o077)
  const began = performance.now()
  // Whatever the level of the log: why a process ends is said.
  const logger = pino({ level: 'fatal' }, pino.destination({ dest: 2, sync: true }))
  const say = (why: string, error?: unknown) => {
    if (error === undefined) process.stderr.write(`${why}\n`)
    else logger.fatal({ err: error }, why)
  }
  const settings = configFrom(environment())
  const service = serviceOf(settings, (what, error) => ending.failed(what, error))
  const ending = new Ending({ stop: partMs => service.stop(partMs), say })
  ending.listen()
  const url = await service.start().catch(error => {
    if (!ending.begun) throw error
    return null // what is being stopped does not start
  })
  if (url === null) return
  const token =
    settings.adminToken === null && settings.roles.includes('api')
      ? `   API token in ${join(settings.dataDir, 'admin.token')}\n`
      : ''
  const docs = settings.roles.includes('api') ? `   API described at ${new URL('/docs', url)}\n` : ''
  process.stdout.write(
    `\nBMA Social is at ${url} (up in ${((performance.now() - began) / 1000).toFixed(1)} s)\n${docs}${token}\n`,
  )
}

if (import.meta.main) {
  try {
    await main()
  } catch (error) {
    process.stderr.write(`${whyNot(error)}\n`)
    process.exit(1)
  }
}

/** Why the service does not start: what its operator can mend in words, all else with where it happened. */
function whyNot(error: unknown): string {
  if (error instanceof ConfigError) return error.message
  const { syscall, code, address, port, stack } = error as NodeJS.ErrnoException & { address?: string; port?: number }
  if (syscall !== 'listen') return String(stack ?? error)
  const why = code === 'EADDRINUSE' ? 'is taken by another process' : `cannot be listened at (${code})`
  return `${address}:${port} ${why}: set HOST and PORT`
}
