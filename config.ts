/**
 * Every setting, typed and checked at start: environment variables, and `.env`. Sections are declared in settings/, a connector's
 * beside the connector. Everything that is wrong is reported at once, with its name and value.
 */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { nearest } from './domain/similarity.ts'
import type { TenantChoices } from './domain/tenants.ts'
import { LIMIT_NAMES, type LimitName } from './api/access/limits.ts'
import type { ConfiguredConnector } from './connectors/connector.ts'
import { CONNECTORS } from './connectors/index.ts'
import { accessSettings, limitSettings } from './settings/access.ts'
import { type KafkaConfig, kafkaSettings, saslSettings } from './settings/kafka.ts'
import { processSettings, ROLES, type Role } from './settings/process.ts'
import { type ProviderConfig, providerSettings } from './settings/providers.ts'
import { weakness } from './settings/secrets.ts'
import { type Environment, type Section, type Setting, readSetting } from './settings/setting.ts'
import { storeSettings } from './settings/stores.ts'
import { choicesOf, tenantSettings } from './settings/tenant.ts'

export type { KafkaConfig } from './settings/kafka.ts'
export { ROLES, type Role } from './settings/process.ts'
export type { ProviderConfig } from './settings/providers.ts'
export { weakness } from './settings/secrets.ts'

const rateLimits = limitSettings(LIMIT_NAMES)

/** Every section there is, in the order of the reference page. */
export const SECTIONS: readonly Section<unknown>[] = [
  processSettings,
  tenantSettings,
  storeSettings,
  kafkaSettings,
  saslSettings,
  accessSettings,
  rateLimits,
  providerSettings,
  ...CONNECTORS.map(connector => connector.settings),
]

/** Every setting there is; each may also be given as a file, by `NAME_FILE`. */
export function knownSettings(): readonly Setting[] {
  return SECTIONS.flatMap(section => section.settings)
}

export interface Config {
  readonly port: number
  /** Of this process alone, where several share `port`. */
  readonly ownPort: number | null
  readonly host: string
  /** One folder holds everything. */
  readonly dataDir: string
  readonly roles: readonly Role[]
  readonly logLevel: string
  /** Bytes that actors may take that are kept decoded, in all of the process. */
  readonly cacheBytes: number
  /** Null: on when nothing is configured; `service/folder.ts` says where it may run. */
  readonly demo: boolean | null
  /** NODE_ENV is production. */
  readonly production: boolean
  /** What the default tenant decides at first. */
  readonly tenant: TenantChoices
  /** Divides durable timers, deadlines and breaker times. */
  readonly timeScale: number
  /** Null: the log is one file in the data folder. */
  readonly kafka: KafkaConfig | null
  readonly databaseUrl: string | null
  /** Null: hot look-ups are kept in this process. */
  readonly redisUrl: string | null
  /** Null: ClickHouse runs as a child of this process, in the data folder. */
  readonly clickhouseUrl: string | null
  /** How long Postgres keeps messages and the archive, in days, then the rest of that month; null: for ever. */
  readonly messageRetentionDays: number | null
  readonly adminToken: string | null
  /** Tokens of the CRM; null: none are taken. */
  readonly jwt: {
    readonly secret?: string
    readonly jwksUrl?: string
    readonly issuer?: string
    readonly audience?: string
  } | null
  /** Signs the tokens of those who log in here; made and kept in the data folder where it is not given. */
  readonly sessionKey: string | null
  /** Whose pages may call the API. */
  readonly corsOrigins: readonly string[]
  /** Addresses of proxies in front of the API, whose word is taken for who asks. */
  readonly trustedProxies: readonly string[]
  /** Requests that somebody may make in the window of each limit; the usual ones where they are not named. */
  readonly limits: Readonly<Partial<Record<LimitName, number>>>
  /** Lets Prometheus read the metrics from another machine. */
  readonly metricsToken: string | null
  /** Whether everybody sees metrics, the API's document, and what is wrong with a dependency. */
  readonly publicDetails: boolean
  /** Key of the conversations' ids; made and kept in the data folder where it is not given. Never changed. */
  readonly tenantKey: string | null
  /** A weak tenant key stays, for conversations are kept under it. */
  readonly tenantKeyKept: boolean
  readonly providers: ProviderConfig
  /** The connectors that are configured; with `changed`, as they would be if these variables were set, too. */
  readonly connectors: (changed?: Environment) => readonly ConfiguredConnector[]
}

/** Whether only this machine reaches an address. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i.test(host)
}

export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(`invalid configuration:\n${problems.map(p => `  ${p}`).join('\n')}`)
    this.name = 'ConfigError'
  }
}

/** Reads `.env` of the present folder, where there is one, below the environment. */
export function environment(): Environment {
  return existsSync('.env') ? { ...parseEnv(readFileSync('.env', 'utf8')), ...process.env } : process.env
}

/** Shorter names are too much like those of others. */
const MIN_MISTYPED_CHARS = 6
/** Of these two letters may be wrong. */
const LONG_NAME_CHARS = 10

/** Variables that are no settings, but look like one that is not set. */
function mistyped(env: Environment): string[] {
  const known = new Set(knownSettings().flatMap(({ name }) => [name, `${name}_FILE`]))
  return Object.keys(env).flatMap(name => {
    if (known.has(name) || name.length < MIN_MISTYPED_CHARS || env[name] === undefined) return []
    const meant = nearest(name, known, name.length < LONG_NAME_CHARS ? 1 : 2)
    return meant === null || env[meant] !== undefined ? [] : [`there is no setting ${name}; did you mean ${meant}?`]
  })
}

/** @throws {ConfigError} naming every setting that is wrong. */
export function configFrom(env: Environment): Config {
  const problems: string[] = mistyped(env)
  const read = <T>(section: Section<T>): T => section.read(env, problems)
  const process = read(processSettings)
  const tenant = choicesOf(read(tenantSettings))
  const stores = read(storeSettings)
  const cluster = read(kafkaSettings)
  const sasl = read(saslSettings)
  const { jwtSecret, jwksUrl, issuer, audience, ...access } = read(accessSettings)
  const limits = Object.entries(read(rateLimits)).filter(([, most]) => most !== null)
  const providers = read(providerSettings)
  const connectorsOf = (changed: Environment, wrong: string[]) =>
    CONNECTORS.map(connector => connector.configure({ ...env, ...changed }, wrong)).filter(configured => configured !== null)
  const connectors = connectorsOf({}, problems)

  const { nodeEnv, cacheMb, ownPort, demo, ...rest } = process
  const roles = process.roles.split(',').map(role => role.trim()) as Role[]
  const split = ROLES.some(role => !roles.includes(role))
  const config: Config = {
    ...rest,
    ...stores,
    ...access,
    tenant,
    dataDir: resolve(process.dataDir),
    ownPort,
    roles,
    cacheBytes: cacheMb * 1024 * 1024,
    demo: demo ?? (split ? false : null),
    production: nodeEnv === 'production',
    kafka: cluster === null ? null : kafkaOf(cluster, sasl),
    jwt: jwtSecret === null && jwksUrl === null ? null : given({ secret: jwtSecret, jwksUrl, issuer, audience }),
    limits: Object.fromEntries(limits) as Config['limits'],
    providers,
    connectors: changed => {
      if (changed === undefined) return connectors
      const wrong: string[] = []
      const configured = connectorsOf(changed, wrong)
      if (wrong.length > 0) throw new ConfigError(wrong)
      return configured
    },
  }
  problems.push(...problemsOfRoles(config, split), ...problemsOfPorts(config), ...problemsOfSecrets(config, split, env))
  if (config.timeScale !== 1 && config.production) problems.push('TIME_SCALE is for demos and tests; leave it out in production')
  if (config.demo === true && split) problems.push('DEMO is on, but the demo world belongs to a process with every role')
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}

type Of<S> = S extends Section<infer T> ? T : never

function kafkaOf(cluster: NonNullable<Of<typeof kafkaSettings>>, sasl: Of<typeof saslSettings>): KafkaConfig {
  const { tls, ca, replicationFactor, ...rest } = cluster
  return {
    ...rest,
    replicationFactor: replicationFactor ?? (cluster.brokers.length >= 3 ? 3 : 1),
    tls: tls && ca !== null ? { ca } : tls,
    sasl,
  }
}

/** What roles need that run in processes of their own. */
function problemsOfRoles({ roles, kafka, databaseUrl, tenantKey, sessionKey }: Config, split: boolean): string[] {
  const problems: string[] = []
  const named = `ROLES is "${roles.join(',')}"`
  for (const role of roles) if (!ROLES.includes(role)) problems.push(`ROLES names "${role}"; roles are ${ROLES.join(', ')}`)
  if (kafka === null) {
    if (split) problems.push(`${named}, but the local log belongs to one process, which needs all of ${ROLES.join(', ')}`)
    return problems
  }
  const serves = roles.includes('api') || roles.includes('sinks')
  if (split && serves && databaseUrl === null) problems.push(`${named}: DATABASE_URL is missing, which api and sinks share`)
  for (const [name, key] of Object.entries({ TENANT_KEY: tenantKey, SESSION_KEY: sessionKey })) {
    // With a separate Postgres there may be other processes, and they must all identify a person in the same way.
    if ((split || databaseUrl !== null) && roles.includes('api') && key === null)
      problems.push(`${named}: ${name} is missing, which every api shares`)
  }
  return problems
}

function problemsOfPorts({ ownPort, port, kafka, redisUrl }: Config): string[] {
  if (ownPort === null) return []
  const problems: string[] = []
  if (kafka === null) problems.push('OWN_PORT is for several processes at one PORT, but the local log belongs to one process')
  if (redisUrl === null) problems.push('OWN_PORT is set: REDIS_URL is missing, where processes at one PORT count limits together')
  if (ownPort === port || port === 0) problems.push('OWN_PORT must be another port than PORT, and PORT must not be 0')
  return problems
}

/** In the demo, which only this machine reaches, a token may be short. */
function problemsOfSecrets(config: Config, split: boolean, env: Environment): string[] {
  const problems: string[] = []
  const hasChannel = config.connectors().some(({ connector }) => connector.channel !== null)
  const inDemo = (config.demo ?? !hasChannel) && !split && !config.production && isLoopback(config.host)
  for (const setting of accessSettings.settings) {
    if (!setting.secret || (inDemo && setting.name !== 'JWT_SECRET')) continue
    const why = weakness(readSetting(setting, env, []) as string | null)
    if (why === null || (setting.name === 'TENANT_KEY' && config.tenantKeyKept)) continue
    const kept =
      setting.name === 'TENANT_KEY' ? '; where conversations are kept under it already, it stays: TENANT_KEY_KEPT=1' : ''
    problems.push(`${setting.name} ${why}: anyone who guesses it gets access; make one with "openssl rand -hex 32"${kept}`)
  }
  return problems
}

/** Without what is null. */
function given<K extends string>(settings: Record<K, string | null>): Partial<Record<K, string>> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null)) as Partial<Record<K, string>>
}
