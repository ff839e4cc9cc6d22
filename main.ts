/**
 * Starts the service: `npm start`. With nothing configured, everything runs in this process on one folder, with the demo world.
 *
 *   log ─▶ stores ─▶ processors, connectors ─▶ sink ─▶ api        (stopped in the opposite order)
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { startApi } from './api/server.ts'
import { type Config, ConfigError, configFrom, environment } from './config.ts'
import { SHEETS_DEFAULTS, sheetsActor } from './connectors/sheets/actor.ts'
import { sheetFilePort } from './connectors/sheets/file.ts'
import { watchSheet } from './connectors/sheets/watch.ts'
import { soundtrackActor } from './connectors/soundtrack/actor.ts'
import { soundtrackClient } from './connectors/soundtrack/client.ts'
import { soundtrackPorts } from './connectors/soundtrack/ports.ts'
import { SOUNDTRACK_SETTINGS } from './connectors/soundtrack/settings.ts'
import { WHATSAPP_DEFAULTS, whatsappActor } from './connectors/whatsapp/actor.ts'
import { whatsappPorts } from './connectors/whatsapp/ports.ts'
import type { ActorDefinition, Port } from './engine/actor.ts'
import { RECORD_ID } from './engine/headers.ts'
import { LmdbStores } from './engine/lmdb.ts'
import { startProjection } from './engine/projection.ts'
import { Worker } from './engine/worker.ts'
import { conversationActor } from './processors/conversation/actor.ts'
import { defaultConversationSettings } from './processors/conversation/settings.ts'
import { understandPort } from './processors/understanding/port.ts'
import { VenueIndex } from './processors/understanding/venues.ts'
import { venueActor } from './processors/venue/actor.ts'
import { VENUE_DEFAULTS } from './processors/venue/settings.ts'
import type { SyncRun } from './schemas/types.ts'
import { startEmbeddedPostgres } from './sinks/postgres/embedded.ts'
import { migrate } from './sinks/postgres/migrate.ts'
import { openPool } from './sinks/postgres/pool.ts'
import { startPostgresSink } from './sinks/postgres/sink.ts'
import { allTopics, changelog, sheetsInbox, syncLog, venueProfiles } from './topics/catalog.ts'
import { Codec } from './topics/codec.ts'
import { openLocalLog } from './topics/local/log.ts'

type Actor = ActorDefinition
type ActorPorts = Readonly<Record<string, Port>>

/** Runs the service until `stop` is called. @throws what kept it from starting; what had started by then is stopped. */
export async function startService(settings: Config): Promise<{ url: string; stop(): Promise<void> }> {
  const logger = pino({ level: settings.logLevel }, pino.destination({ dest: 2, sync: true }))
  const closers: (() => Promise<unknown> | unknown)[] = []
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) {
      try {
        await close()
      } catch (error) {
        logger.error({ err: error }, 'while stopping')
      }
    }
  }
  try {
    return { url: await start(settings, logger, closers), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function start(settings: Config, logger: pino.Logger, closers: (() => unknown)[]): Promise<string> {
  const { dataDir, timeScale, controlTrust } = settings
  mkdirSync(dataDir, { recursive: true })
  const onError = (what: string, error: unknown) => logger.error({ err: error }, what)

  // The log comes first: it belongs to one process, and whoever has it has the folder.
  const demoWanted = settings.demo ?? settings.whatsapp === null
  const conversation = conversationActor({
    ...defaultConversationSettings,
    controlTrust: controlTrust.toUpperCase() as 'CLAIMED' | 'HINTED' | 'BOUND',
    timeScale,
  })
  const venue = venueActor({ ...VENUE_DEFAULTS, controlTrust, timeScale })
  const whatsapp = whatsappActor({ ...WHATSAPP_DEFAULTS, timeScale })
  const soundtrack = soundtrackActor({ ...SOUNDTRACK_SETTINGS, timeScale })
  const sheets = sheetsActor({ ...SHEETS_DEFAULTS, timeScale })
  const topics = [...allTopics(), ...[conversation, venue, whatsapp, soundtrack, sheets].map(a => changelog(a.name, a.inbox))]
  const log = await openLocalLog({ file: join(dataDir, 'log.sqlite'), topics, onError: error => onError('log', error) })
  closers.push(() => log.close())
  const codec = await Codec.open(log, topics)

  const demo = demoWanted ? await (await import('./demo/demo.ts')).startDemo({ dataDir }) : null
  if (demo !== null) closers.push(() => demo.close())
  const outside = { ...settings, ...demo }

  const postgres = settings.databaseUrl === null ? await startEmbeddedPostgres({ dataDir, log: logger }) : null
  if (postgres !== null) closers.push(() => postgres.stop())
  const url = settings.databaseUrl ?? (postgres?.url as string)
  const sinkPool = openPool({ url, log: logger, name: 'sink' })
  const apiPool = openPool({ url, log: logger, name: 'api', statementTimeoutMs: 5_000 })
  closers.push(() => Promise.all([sinkPool.end(), apiPool.end()]))
  await migrate(sinkPool)

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
  let sheetRun: SyncRun | null = null
  const runs = startProjection({
    log,
    codec,
    topic: syncLog,
    onError: error => onError('synchronisations', error),
    apply: (_key, decoded) => {
      if (decoded?.type !== 'SyncRun' || !decoded.value.source.startsWith('sheets:')) return
      const { outcome } = decoded.value
      if (outcome === 'OK' || sheetRun === null) sheetRun = decoded.value
    },
  })
  closers.push(() => runs.close())
  await Promise.all([venues.caughtUp, runs.caughtUp])

  const stores = LmdbStores.open(join(dataDir, 'state'))
  closers.push(() => stores.close())
  const shared = {
    log,
    codec,
    codeVersion: codeVersion(),
    onError,
    openStore: async (actor: string, partition: number) => stores.store(actor, partition),
  }
  const processors = new Worker({
    ...shared,
    group: 'bma.processors',
    instance: 'processors',
    actors: [conversation, venue] as unknown as Actor[],
    ports: { conversation: { understand: understandPort({ index }) } as unknown as ActorPorts },
  })
  const connected: { actor: Actor; ports: ActorPorts }[] = []
  const connect = (actor: unknown, ports: unknown) => connected.push({ actor: actor as Actor, ports: ports as ActorPorts })
  if (outside.whatsapp !== null) {
    const { ports, close } = whatsappPorts({ ...outside.whatsapp, timeScale })
    connect(whatsapp, ports)
    closers.push(close)
  }
  if (outside.soundtrack !== null) {
    const client = soundtrackClient({ ...outside.soundtrack, timeScale })
    connect(soundtrack, soundtrackPorts(client))
    closers.push(() => client.close())
  }
  if (outside.venuesCsv !== null) connect(sheets, { read: sheetFilePort({ file: outside.venuesCsv }) })
  const connectors = new Worker({
    ...shared,
    group: 'bma.connectors',
    instance: 'connectors',
    actors: connected.map(c => c.actor),
    ports: Object.fromEntries(connected.map(({ actor, ports }) => [actor.name, ports])),
  })
  await processors.start()
  closers.push(() => processors.stop())
  if (connected.length > 0) {
    await connectors.start()
    closers.push(() => connectors.stop())
  }

  if (outside.venuesCsv !== null) {
    const readNow = async (reason: string) => {
      const value = codec.encode(sheetsInbox.name, 'SyncNow', { reason })
      await log.append([
        { topic: sheetsInbox.name, key: SHEET, value, headers: { [RECORD_ID]: randomBytes(12).toString('hex') } },
      ])
    }
    const watch = watchSheet({ file: outside.venuesCsv, changed: () => readNow('changed') })
    closers.push(() => watch.close())
    await readNow('start')
  }

  const sink = await startPostgresSink({ log, codec, pool: sinkPool, logger })
  closers.push(() => sink.close())

  const working = (worker: Worker) => {
    const { tasks, cycleAgeMs } = worker.status()
    const stopped = tasks.filter(t => t.state === 'STOPPED')
    const running = tasks.filter(t => t.state === 'RUNNING').length
    const detail = `${running} of ${tasks.length} tasks run${stopped.map(t => `; ${t.topic}/${t.partition}: ${t.stopped}`).join('')}`
    const status =
      tasks.length === 0 || running < tasks.length - stopped.length || cycleAgeMs > 30_000
        ? 'down'
        : stopped.length > 0
          ? 'degraded'
          : 'up'
    return { status, detail } as const
  }
  const adminToken = settings.adminToken ?? kept(join(dataDir, 'admin.token'))
  const page = demo?.page({ log, codec })
  const api = await startApi({
    host: settings.host,
    port: settings.port,
    adminToken,
    whatsapp: outside.whatsapp,
    tenantKey: settings.tenantKey ?? kept(join(dataDir, 'tenant.key')),
    log,
    codec,
    pool: apiPool,
    logger,
    readers: { 'bma.sinks.postgres': () => sink.positions() },
    dependencies: {
      processors: () => working(processors),
      ...(connected.length > 0 ? { connectors: () => working(connectors) } : {}),
      postgres: () => sink.status(),
      venues: () => {
        if (outside.venuesCsv === null) return { status: 'degraded', detail: 'no venue sheet is configured: set VENUES_CSV' }
        if (sheetRun === null) return { status: 'down', detail: 'the venue sheet has not been read yet' }
        if (sheetRun.outcome !== 'OK') return { status: 'down', detail: `the venue sheet was not taken: ${sheetRun.reason}` }
        const status = index.size >= sheetRun.venues ? 'up' : 'down'
        return { status, detail: `${index.size} of ${sheetRun.venues} venues are in the index` }
      },
    },
    ...(page === undefined ? {} : { extend: page }),
  })
  closers.push(() => api.close())
  demo?.connect(api.url)
  return api.url
}

/** Key of the one sheet there is. */
const SHEET = 'main'

/** A secret of this installation, made once and kept in a file that only its owner reads. */
function kept(file: string): string {
  if (!existsSync(file)) writeFileSync(file, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 })
  return readFileSync(file, 'utf8').trim()
}

/** Names the code that decides: it changes when any of its files does. */
function codeVersion(): string {
  const digest = createHash('sha256')
  for (const folder of ['engine', 'processors', 'connectors', 'schemas', 'topics']) {
    const files = readdirSync(join(import.meta.dirname, folder), { recursive: true, withFileTypes: true })
    const named = files.filter(f => f.isFile() && !f.name.endsWith('.test.ts')).map(f => join(f.parentPath, f.name))
    for (const file of named.sort()) digest.update(readFileSync(file))
  }
  return digest.digest('hex').slice(0, 12)
}

if (import.meta.main) {
  let stopping = false
  try {
    const settings = configFrom(environment())
    const began = performance.now()
    const service = await startService(settings)
    const end = (signal: string) => {
      if (stopping) return
      stopping = true
      process.stderr.write(`${signal}: stopping\n`)
      void service.stop().then(() => process.exit(0))
    }
    process.on('SIGTERM', end)
    process.on('SIGINT', end)
    const token = settings.adminToken === null ? `   API token in ${join(settings.dataDir, 'admin.token')}\n` : ''
    process.stdout.write(
      `\nBMA Social is at ${service.url} (up in ${((performance.now() - began) / 1000).toFixed(1)} s)\n${token}\n`,
    )
  } catch (error) {
    process.stderr.write(`${error instanceof ConfigError ? error.message : ((error as Error).stack ?? error)}\n`)
    process.exit(1)
  }
}
