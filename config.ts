/**
 * Every setting, typed and checked at start: environment variables, and `.env`. A secret may also be given as a file, by
 * `NAME_FILE`. What is wrong is said all at once, with the name and the value.
 */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { LIMIT_NAMES, type LimitName } from './api/access/limits.ts'

export const ROLES = ['api', 'processors', 'connectors', 'sinks'] as const
export type Role = (typeof ROLES)[number]

/** How long a provider's moods are borne, and who hears of them when. Times in ms. */
export interface ProviderConfig {
  /** Of a source: failures in a row until it counts as down. */
  readonly breakerFailures: number
  /** How long it is then left alone at first, and at most. */
  readonly breakerProbeMs: number
  readonly breakerMostMs: number
  /** Of a message channel: the share of calls that fail until it counts as down, and over how many at least. */
  readonly channelShare: number
  readonly channelCalls: number
  /** The pause after a limit that a provider has told, at first and at most. */
  readonly limitMs: number
  readonly limitMostMs: number
  /** When a person who waits hears what is the matter. */
  readonly firstWordMs: number
  /** How long a control is tried. */
  readonly tryMs: number
}

/** The cluster that holds the log. */
export interface KafkaConfig {
  readonly brokers: readonly string[]
  readonly registryUrl: string
  /** Before the names of topics, groups and transactional ids. */
  readonly prefix: string
  readonly replicationFactor: number
  /** Of topics that have several, when they are made. */
  readonly partitions: number
  readonly compression: 'none' | 'gzip' | 'zstd'
  readonly sessionTimeoutMs: number
  readonly tls: boolean | { readonly ca: string }
  readonly sasl: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
    readonly username: string
    readonly password: string
  } | null
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
  readonly controlTrust: 'claimed' | 'hinted' | 'bound'
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
  readonly venuesCsv: string | null
  /** Order of the sheet's dates such as 4/5/2026; null: its other cells decide. */
  readonly sheetDateOrder: 'dmy' | 'mdy' | 'ymd' | null
  /** What the operator accepts of a sheet that was refused, as the alert named it. */
  readonly sheetAccept: string | null
  readonly soundtrack: { readonly url: string; readonly token: string; readonly tokensPerSecond: number } | null
  readonly whatsapp: {
    readonly apiUrl: string
    readonly phoneNumberId: string
    readonly accessToken: string
    readonly appSecret: string
    readonly verifyToken: string
  } | null
}

/** What lets somebody in, or hides who somebody is, by being unguessable. */
const SECRETS = ['ADMIN_TOKEN', 'SESSION_KEY', 'TENANT_KEY', 'JWT_SECRET', 'METRICS_TOKEN'] as const
const SHORTEST_SECRET = 32
/** The provider makes this one. It is guessed by asking alone, 60,000 times a minute at most. */
const SHORTEST_APP_SECRET = 8
const LEAST_APP_VARIETY = 4
/** Of 32 random hexadecimal digits there are fewer different ones once in a billion. */
const LEAST_VARIETY = 7
/** A secret that repeats itself is one of its unit's length. */
const SHORTEST_UNIT = 16

/** Why a secret could be guessed; null where it could not, or is not given. */
export function weakness(secret: string | null): string | null {
  if (secret === null) return null
  if (secret.length < SHORTEST_SECRET) return `is shorter than ${SHORTEST_SECRET} characters`
  const variety = new Set(secret).size
  if (variety < LEAST_VARIETY) return `has only ${variety} different characters`
  // A text that repeats a unit is found in its own double before its end.
  const unit = `${secret}${secret}`.indexOf(secret, 1)
  return unit < SHORTEST_UNIT ? `repeats ${unit} characters` : null
}

/** Whether only this machine reaches an address. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i.test(host)
}

export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(`the settings are not usable:\n${problems.map(p => `  ${p}`).join('\n')}`)
    this.name = 'ConfigError'
  }
}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads `.env` of the present folder, where there is one, below the environment. */
export function environment(): Environment {
  return existsSync('.env') ? { ...parseEnv(readFileSync('.env', 'utf8')), ...process.env } : process.env
}

/** @throws {ConfigError} naming every setting that is wrong. */
export function configFrom(env: Environment): Config {
  const problems: string[] = []
  const text = (name: string): string | null => {
    const file = env[`${name}_FILE`]
    if (file !== undefined && file !== '') {
      try {
        return readFileSync(file, 'utf8').trim()
      } catch (error) {
        problems.push(`${name}_FILE: ${(error as Error).message}`)
        return null
      }
    }
    const value = env[name]?.trim()
    return value === undefined || value === '' ? null : value
  }
  const number = (name: string, fallback: number, least: number, most: number): number => {
    const value = text(name)
    if (value === null) return fallback
    const parsed = Number(value)
    if (Number.isFinite(parsed) && parsed >= least && parsed <= most) return parsed
    problems.push(`${name} is "${value}"; it has to be a number from ${least} to ${most}`)
    return fallback
  }
  const oneOf = <T extends string>(name: string, fallback: T, values: readonly T[]): T => {
    const value = text(name)
    if (value === null) return fallback
    if ((values as readonly string[]).includes(value)) return value as T
    problems.push(`${name} is "${value}"; it has to be one of ${values.join(', ')}`)
    return fallback
  }
  /** All of them or none. */
  const together = <T extends string>(names: readonly T[], what: string): Record<T, string> | null => {
    const values = names.map(name => [name, text(name)] as const)
    const missing = values.filter(([, value]) => value === null).map(([name]) => name)
    if (missing.length === names.length) return null
    if (missing.length > 0)
      problems.push(`${what} is configured in part: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`)
    return Object.fromEntries(values.map(([name, value]) => [name, value ?? ''])) as Record<T, string>
  }

  const yes = (name: string): boolean => !['', '0', 'false', 'off', 'no'].includes(text(name)?.toLowerCase() ?? '')

  const roles = (text('ROLES') ?? ROLES.join(',')).split(',').map(role => role.trim())
  for (const role of roles) {
    if (!(ROLES as readonly string[]).includes(role)) problems.push(`ROLES names "${role}"; roles are ${ROLES.join(', ')}`)
  }
  const split = ROLES.some(role => !roles.includes(role))
  const cluster = together(['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL'], 'Kafka')
  if (cluster === null && split) {
    problems.push(
      `ROLES is "${roles.join(',')}", but the local log belongs to one process, which needs all of ${ROLES.join(', ')}`,
    )
  }
  const serves = roles.includes('api') || roles.includes('sinks')
  if (cluster !== null && split && serves && text('DATABASE_URL') === null) {
    problems.push(`ROLES is "${roles.join(',')}": DATABASE_URL is missing, which api and sinks share`)
  }
  for (const name of ['TENANT_KEY', 'SESSION_KEY']) {
    // With servers of its own elsewhere there may be other processes, and a person must be the same one to all of them.
    if (cluster !== null && (split || text('DATABASE_URL') !== null) && roles.includes('api') && text(name) === null)
      problems.push(`ROLES is "${roles.join(',')}": ${name} is missing, which every api shares`)
  }
  const sasl = together(['KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'], 'SASL of Kafka')
  const brokers = (cluster?.KAFKA_BROKERS ?? '').split(',').map(broker => broker.trim())
  for (const broker of cluster === null ? [] : brokers) {
    if (!/^[^\s:]+:\d{1,5}$/.test(broker)) problems.push(`KAFKA_BROKERS names "${broker}"; it has to be host:port,host:port`)
  }
  if (cluster !== null && !URL.canParse(cluster.SCHEMA_REGISTRY_URL)) {
    problems.push(`SCHEMA_REGISTRY_URL is "${cluster.SCHEMA_REGISTRY_URL}"; it has to be an address`)
  }
  const ca = text('KAFKA_TLS_CA')
  const tls = yes('KAFKA_TLS') ? (ca === null ? true : { ca }) : false
  const timeScale = number('TIME_SCALE', 1, 1, 100_000)
  const production = env.NODE_ENV === 'production'
  if (timeScale !== 1 && production) problems.push('TIME_SCALE is for demos and tests; leave it out in production')

  const [jwtSecret, jwksUrl] = [text('JWT_SECRET'), text('JWT_JWKS_URL')]
  if (jwtSecret !== null && jwksUrl !== null)
    problems.push('JWT_SECRET and JWT_JWKS_URL are both given; tokens have one kind of key')
  for (const name of ['JWT_ISSUER', 'JWT_AUDIENCE']) {
    if (jwksUrl !== null && text(name) === null)
      problems.push(`${name} is missing: whoever publishes keys at JWT_JWKS_URL signs tokens for others, too`)
  }
  const list = (name: string) =>
    (text(name) ?? '')
      .split(',')
      .map(item => item.trim())
      .filter(item => item !== '')
  const corsOrigins = list('CORS_ORIGINS')
  for (const origin of corsOrigins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      problems.push(`CORS_ORIGINS names "${origin}"; it has to be an origin such as https://crm.example.com`)
  }
  const address = (name: string, protocols: readonly string[]): string | null => {
    const value = text(name)
    if (value !== null && !(URL.canParse(value) && protocols.includes(new URL(value).protocol))) {
      problems.push(`${name} is no address that begins with ${protocols.map(p => `${p}//`).join(' or ')}`)
    }
    return value
  }

  const limits: Partial<Record<LimitName, number>> = {}
  for (const name of LIMIT_NAMES) {
    const setting = `RATE_LIMIT_${name.toUpperCase()}`
    if (text(setting) !== null) limits[name] = number(setting, 0, 1, 1e9)
  }

  const soundtrackToken = text('SOUNDTRACK_API_TOKEN')
  const whatsapp = together(
    ['WHATSAPP_PHONE_NUMBER_ID', 'WHATSAPP_ACCESS_TOKEN', 'WHATSAPP_APP_SECRET', 'WHATSAPP_VERIFY_TOKEN'],
    'WhatsApp',
  )
  const config: Config = {
    port: number('PORT', 3000, 0, 65_535),
    ownPort: text('OWN_PORT') === null ? null : number('OWN_PORT', 0, 1, 65_535),
    host: text('HOST') ?? '127.0.0.1',
    dataDir: resolve(text('DATA_DIR') ?? './data'),
    roles: roles as Role[],
    logLevel: oneOf('LOG_LEVEL', 'info', ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    cacheBytes: number('CACHE_MB', 64, 1, 65_536) * 1024 * 1024,
    demo: text('DEMO') === null ? (split ? false : null) : yes('DEMO'),
    production,
    controlTrust: oneOf('CONTROL_TRUST', 'hinted', ['claimed', 'hinted', 'bound']),
    timeScale,
    kafka:
      cluster === null
        ? null
        : {
            brokers,
            registryUrl: cluster.SCHEMA_REGISTRY_URL,
            prefix: text('KAFKA_PREFIX') ?? '',
            replicationFactor: number('KAFKA_REPLICATION_FACTOR', brokers.length >= 3 ? 3 : 1, 1, 9),
            partitions: number('KAFKA_PARTITIONS', 24, 1, 1_000),
            compression: oneOf('KAFKA_COMPRESSION', 'zstd', ['none', 'gzip', 'zstd']),
            sessionTimeoutMs: number('KAFKA_SESSION_TIMEOUT_MS', 30_000, 1_000, 300_000),
            tls,
            sasl:
              sasl === null
                ? null
                : {
                    mechanism: oneOf('KAFKA_SASL_MECHANISM', 'scram-sha-512', ['plain', 'scram-sha-256', 'scram-sha-512']),
                    username: sasl.KAFKA_SASL_USERNAME,
                    password: sasl.KAFKA_SASL_PASSWORD,
                  },
          },
    databaseUrl: text('DATABASE_URL'),
    redisUrl: address('REDIS_URL', ['redis:', 'rediss:']),
    clickhouseUrl: address('CLICKHOUSE_URL', ['http:', 'https:']),
    adminToken: text('ADMIN_TOKEN'),
    jwt:
      jwtSecret === null && jwksUrl === null
        ? null
        : given({
            secret: jwtSecret,
            jwksUrl: address('JWT_JWKS_URL', ['https:', 'http:']),
            issuer: text('JWT_ISSUER'),
            audience: text('JWT_AUDIENCE'),
          }),
    messageRetentionDays: text('MESSAGE_RETENTION_DAYS') === null ? null : number('MESSAGE_RETENTION_DAYS', 0, 1, 36_500),
    sessionKey: text('SESSION_KEY'),
    corsOrigins,
    trustedProxies: list('TRUSTED_PROXIES'),
    limits,
    metricsToken: text('METRICS_TOKEN'),
    publicDetails: yes('PUBLIC_DETAILS'),
    tenantKey: text('TENANT_KEY'),
    tenantKeyKept: yes('TENANT_KEY_KEPT'),
    providers: {
      breakerFailures: number('BREAKER_FAILURES', 3, 1, 1_000),
      breakerProbeMs: number('BREAKER_PROBE_MS', 5_000, 100, 300_000),
      breakerMostMs: number('BREAKER_MAX_MS', 300_000, 100, 3_600_000),
      channelShare: number('CHANNEL_BREAKER_RATE', 0.5, 0.05, 0.95),
      channelCalls: number('CHANNEL_BREAKER_CALLS', 20, 20, 10_000),
      limitMs: number('LIMIT_PAUSE_MS', 1_000, 1_000, 300_000),
      limitMostMs: number('LIMIT_PAUSE_MAX_MS', 30_000, 1_000, 3_600_000),
      firstWordMs: number('FIRST_WORD_MS', 15_000, 1_000, 18_000),
      tryMs: number('CONTROL_TRY_MS', 120_000, 30_000, 600_000),
    },
    venuesCsv: text('VENUES_CSV'),
    sheetDateOrder:
      text('SHEET_DATE_ORDER') === null ? null : oneOf<'dmy' | 'mdy' | 'ymd'>('SHEET_DATE_ORDER', 'dmy', ['dmy', 'mdy', 'ymd']),
    sheetAccept: text('SHEET_ACCEPT'),
    soundtrack:
      soundtrackToken === null
        ? null
        : {
            url: text('SOUNDTRACK_API_URL') ?? 'https://api.soundtrackyourbrand.com/v2',
            token: soundtrackToken,
            tokensPerSecond: number('SOUNDTRACK_TOKENS_PER_SECOND', 50, 1, 10_000),
          },
    whatsapp:
      whatsapp === null
        ? null
        : {
            apiUrl: text('WHATSAPP_API_URL') ?? 'https://graph.facebook.com/v23.0',
            phoneNumberId: whatsapp.WHATSAPP_PHONE_NUMBER_ID,
            accessToken: whatsapp.WHATSAPP_ACCESS_TOKEN,
            appSecret: whatsapp.WHATSAPP_APP_SECRET,
            verifyToken: whatsapp.WHATSAPP_VERIFY_TOKEN,
          },
  }
  if (config.ownPort !== null) {
    if (cluster === null) problems.push('OWN_PORT is for several processes at one PORT, but the local log belongs to one process')
    if (config.redisUrl === null)
      problems.push('OWN_PORT is set: REDIS_URL is missing, where processes at one PORT count limits together')
    if (config.ownPort === config.port || config.port === 0)
      problems.push('OWN_PORT has to be another port than PORT, and PORT not 0')
  }
  const inDemo = (config.demo ?? whatsapp === null) && !split && env.NODE_ENV !== 'production' && isLoopback(config.host)
  for (const name of inDemo ? (['JWT_SECRET'] as const) : SECRETS) {
    const why = weakness(text(name))
    if (why === null || (name === 'TENANT_KEY' && yes('TENANT_KEY_KEPT'))) continue
    const kept = name === 'TENANT_KEY' ? '; where conversations are kept under it already, it stays: TENANT_KEY_KEPT=1' : ''
    problems.push(`${name} ${why}: whoever guesses it is let in; make one with "openssl rand -hex 32"${kept}`)
  }
  const signed = whatsapp?.WHATSAPP_APP_SECRET ?? null
  if (signed !== null && (signed.length < SHORTEST_APP_SECRET || new Set(signed).size < LEAST_APP_VARIETY)) {
    problems.push(
      `WHATSAPP_APP_SECRET is no app secret: it has ${signed.length} characters, and Meta's have 32; whoever guesses it signs webhooks`,
    )
  }
  if (config.demo === true && split) problems.push('DEMO is on, but the demo world belongs to a process with every role')
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}

/** Without what is null. */
function given<K extends string>(settings: Record<K, string | null>): Partial<Record<K, string>> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null)) as Partial<Record<K, string>>
}
