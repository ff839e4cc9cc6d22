/**
 * The data folder: readable by its owner only, and marked with what it holds, `demo` or `live`, so that neither is ever started on
 * the other. A log on a cluster is not in the folder, and carries its own mark of the demo.
 *
 *   nothing in it ─▶ marked as what is started first ─▶ only ever started as that
 */
import { randomUUID } from 'node:crypto'
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { Logger } from 'pino'
import { type Config, ConfigError, isLoopback } from '../config.ts'
import type { Connector } from '../connectors/connector.ts'
import { CONNECTORS } from '../connectors/index.ts'
import { messageOf } from '../engine/errors.ts'
import { syncLog, type Topic } from '../topics/catalog.ts'
import type { Codec } from '../topics/codec.ts'
import type { Log } from '../topics/log.ts'
import { partitionOf } from '../topics/murmur2.ts'

export type Kind = 'demo' | 'live'

/** The file that says what the folder holds. */
export const MARK = 'installation'

/** Names that the service uses; everything else in the folder belongs to someone else. */
const OURS =
  /^(installation|log\.sqlite.*|state|audit|postgres.*|clickhouse.*|demo|members|instance\..*|(admin\.token|tenant\.key|session\.key)(\.\d+)?)$/
/** What a file system puts into a new volume. */
const OF_THE_VOLUME = ['lost+found']

/**
 * Makes the folder, or makes sure that it is what these settings want: to be called before anything is opened in it.
 * @returns whether the demo runs
 * @throws {ConfigError} when the demo would run on data that are not its own, the service on the demo's, or where none may run
 */
export function openFolder(settings: Config, logger: Pick<Logger, 'warn'>): Kind {
  const { dataDir } = settings
  make(dataDir)
  const found = contentOf(dataDir)
  const kind = decide(settings, found)
  if (found.mark === null) mark(dataDir, kind)
  closeToOthers(dataDir, logger)
  return kind
}

/** One folder after the other: `recursive` never ends where the system says that the parent, which is there, is not. */
function make(dataDir: string): void {
  const missing: string[] = []
  for (let at = resolve(dataDir); !existsSync(at); at = dirname(at)) missing.unshift(at)
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode: 0o700 })
    } catch (error) {
      // Another process that starts on it may have been faster.
      if (!existsSync(folder)) throw new ConfigError([`DATA_DIR is "${dataDir}", which cannot be made: ${messageOf(error)}`])
    }
  }
}

interface Content {
  readonly mark: Kind | null
  /** Nothing in it, apart from a mark that was never finished. */
  readonly empty: boolean
  /** It has what the demo makes. */
  readonly demo: boolean
}

function contentOf(dataDir: string): Content {
  const names = readdirSync(dataDir)
  const said = names.includes(MARK) ? readFileSync(join(dataDir, MARK), 'utf8').trim() : ''
  const first = said.split(/\s/, 1)[0] as string
  if (first !== 'demo' && first !== 'live' && first !== '')
    throw new ConfigError([`${join(dataDir, MARK)} begins with "${first}"; its first word must be demo or live`])
  return {
    mark: first === '' ? null : first,
    empty: names.every(name => name === MARK || OF_THE_VOLUME.includes(name)),
    demo: names.includes('demo'),
  }
}

/** What is to run on this content. @throws {ConfigError} saying what is missing, or in the way, and what to do */
export function decide(settings: Config, { mark, empty, demo }: Content): Kind {
  const { dataDir } = settings
  const refuse = (...problems: string[]): never => {
    throw new ConfigError(problems)
  }
  const live = () => {
    if (mark === 'demo')
      refuse(`${dataDir} is of the demo: give this installation a DATA_DIR of its own, or delete the folder if nobody wants it`)
    if (mark === null && demo)
      refuse(`${dataDir} has data of the demo, and nothing says whose the rest is: ${HOW_TO_MARK(dataDir)}`)
    return 'live' as const
  }
  const wanted = settings.demo === true
  if (settings.demo === false || (!wanted && settings.connectors().some(({ connector }) => connector.channel !== null)))
    return live()

  const missing = `${CHANNEL} are missing, so that no channel is configured`
  const why = wanted ? 'DEMO is on' : missing
  const instead = wanted ? 'leave out DEMO' : 'set them; or DEMO=0 to run without a channel'
  const named = configured(settings).filter(name => !(wanted && name === 'KAFKA_BROKERS'))
  if (settings.production || !isLoopback(settings.host)) {
    const where = settings.production ? 'with NODE_ENV=production' : `on an address that others reach (HOST=${settings.host})`
    return refuse(`${why}, but the demo never runs ${where}: ${instead}`)
  }
  if (named.length > 0) return refuse(`${why}, but the demo does not run with ${named.join(', ')}: ${instead}`)
  if (mark === 'live') return refuse(`${why}, but ${dataDir} is a live installation, which the demo never runs on: ${instead}`)
  if (mark === null && !empty)
    return refuse(
      `${why}, but ${dataDir} holds what the demo has not made: ${instead}, or give the demo a DATA_DIR of its own; ` +
        `if the folder is the demo's, ${HOW_TO_MARK(dataDir)}`,
    )
  return 'demo'
}

/** The settings that a channel needs, of every channel there is. */
export function settingsOfChannels(connectors: readonly Pick<Connector, 'channel' | 'settings'>[]): string {
  const channels = connectors.filter(({ channel }) => channel !== null)
  return channels.map(({ settings: { required } }) => new Intl.ListFormat('en-GB').format(required)).join(', or ')
}
const CHANNEL = settingsOfChannels(CONNECTORS)
const HOW_TO_MARK = (dataDir: string) => `write "demo" or "live", whichever it is, into ${join(dataDir, MARK)}`

/** Settings of an installation that is not the demo, for the demo has its own of each. */
function configured(settings: Config): string[] {
  const { kafka, databaseUrl, redisUrl, clickhouseUrl } = settings
  const servers = { KAFKA_BROKERS: kafka, DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, CLICKHOUSE_URL: clickhouseUrl }
  return [
    ...settings.connectors().map(({ connector }) => connector.settings.required[0] as string),
    ...Object.entries(servers).flatMap(([name, value]) => (value === null ? [] : [name])),
  ]
}

/** If two processes start at once, the first marks the folder, and the other finds out what it has become. */
function mark(dataDir: string, kind: Kind): void {
  const file = join(dataDir, MARK)
  const text = `${kind}\n\nWhat this folder holds: the invented world of the demo, or a live installation.\n`
  const blank = existsSync(file)
  try {
    writeFileSync(file, text, { mode: 0o600, flag: blank ? 'w' : 'wx', flush: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const { mark: other } = contentOf(dataDir)
    if (other !== kind) throw new ConfigError([`${dataDir} has just been taken by another process: start again`])
  }
}

/** Removes the permissions of group and others; warns if that fails. */
function closeToOthers(folder: string, logger: Pick<Logger, 'warn'>): void {
  if (process.platform === 'win32') return
  const dataDir = realpathSync(folder)
  const open: string[] = []
  const close = (path: string) => {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (stat === undefined || stat.isSymbolicLink()) return
    try {
      if ((stat.mode & 0o077) !== 0) chmodSync(path, stat.mode & 0o700)
      if (stat.isDirectory()) for (const name of readdirSync(path)) close(join(path, name))
    } catch (error) {
      // A store that an earlier process left running may remove its own files.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') open.push(`${path} (${(error as Error).message})`)
    }
  }
  const names = readdirSync(dataDir)
  const shared = ['/', homedir()].includes(dataDir) || names.some(name => !isOurs(name))
  if (!shared) close(dataDir)
  else {
    for (const name of names.filter(isOurs)) close(join(dataDir, name))
    if ((lstatSync(dataDir).mode & 0o077) !== 0) open.push(`${dataDir} (which has other things in it)`)
  }
  if (open.length > 0) logger.warn({ open: open.slice(0, 10) }, 'the data folder is open to others: chmod -R go= on it')
}

function isOurs(name: string): boolean {
  return OURS.test(name) || OF_THE_VOLUME.includes(name)
}

/** Key of the demo's mark on the log. It is the first record of its partition, for it is written on an empty log only. */
const DEMO_KEY = 'demo'

/**
 * Makes sure that a log on a cluster is what is to run on it: before anything is written to it.
 * @throws {ConfigError} when the demo would write to another's log, or the service to the demo's
 */
export async function settleLog(kind: Kind, log: Log, codec: Codec, topics: readonly Topic[]): Promise<void> {
  const ends = await log.ends(syncLog.name)
  const partition = partitionOf(DEMO_KEY, ends.length)
  const low = ends.find(end => end.partition === partition)?.low ?? 0
  const { records } = await log.read({ topic: syncLog.name, partition }, low, { maxBytes: 1, wait: 0 })
  const marked = records[0]?.key === DEMO_KEY
  if (kind === 'live' && marked)
    throw new ConfigError(['the log at KAFKA_BROKERS is of the demo: give this installation a KAFKA_PREFIX of its own'])
  if (kind === 'live' || marked) return
  const all = await Promise.all(topics.map(topic => log.ends(topic.name)))
  if (all.flat().some(({ high }) => high > 0))
    throw new ConfigError([
      'DEMO is on, but the log at KAFKA_BROKERS holds what the demo has not written: leave out DEMO, or give it a KAFKA_PREFIX of its own',
    ])
  const at = Date.now()
  const run = { id: randomUUID(), source: DEMO_KEY, startedAt: at, endedAt: at, outcome: 'OK', durationMs: 0 } as const
  const value = codec.encode(syncLog.name, 'SyncRun', { ...run, reason: 'this log is of the demo' })
  await log.append([{ topic: syncLog.name, key: DEMO_KEY, value }])
}
