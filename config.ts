/**
 * Every setting, typed and checked at start: environment variables, and `.env`. A secret may also be given as a file, by
 * `NAME_FILE`. What is wrong is said all at once, with the name and the value.
 */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'

export const ROLES = ['api', 'processors', 'connectors', 'sinks'] as const
export type Role = (typeof ROLES)[number]

export interface Config {
  readonly port: number
  readonly host: string
  /** One folder holds everything. */
  readonly dataDir: string
  readonly roles: readonly Role[]
  readonly logLevel: string
  /** Null: on when no channel is configured. */
  readonly demo: boolean | null
  readonly controlTrust: 'claimed' | 'hinted' | 'bound'
  /** Divides durable timers, deadlines and breaker times. */
  readonly timeScale: number
  readonly databaseUrl: string | null
  readonly adminToken: string | null
  /** Key of the conversations' ids; made and kept in the data folder where it is not given. Never changed. */
  readonly tenantKey: string | null
  readonly venuesCsv: string | null
  readonly soundtrack: { readonly url: string; readonly token: string; readonly tokensPerSecond: number } | null
  readonly whatsapp: {
    readonly apiUrl: string
    readonly phoneNumberId: string
    readonly accessToken: string
    readonly appSecret: string
    readonly verifyToken: string
  } | null
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

  const roles = (text('ROLES') ?? ROLES.join(',')).split(',').map(role => role.trim())
  for (const role of roles) {
    if (!(ROLES as readonly string[]).includes(role)) problems.push(`ROLES names "${role}"; roles are ${ROLES.join(', ')}`)
  }
  if (text('KAFKA_BROKERS') !== null) {
    problems.push('KAFKA_BROKERS is set, but this version keeps its log in one local file; leave it out')
  } else if (ROLES.some(role => !roles.includes(role))) {
    problems.push(
      `ROLES is "${roles.join(',')}", but the local log belongs to one process, which needs all of ${ROLES.join(', ')}`,
    )
  }
  const timeScale = number('TIME_SCALE', 1, 1, 100_000)
  if (timeScale !== 1 && env.NODE_ENV === 'production')
    problems.push('TIME_SCALE is for demos and tests; leave it out in production')

  const soundtrackToken = text('SOUNDTRACK_API_TOKEN')
  const whatsapp = together(
    ['WHATSAPP_PHONE_NUMBER_ID', 'WHATSAPP_ACCESS_TOKEN', 'WHATSAPP_APP_SECRET', 'WHATSAPP_VERIFY_TOKEN'],
    'WhatsApp',
  )
  const demo = text('DEMO')
  const config: Config = {
    port: number('PORT', 3000, 0, 65_535),
    host: text('HOST') ?? '127.0.0.1',
    dataDir: resolve(text('DATA_DIR') ?? './data'),
    roles: roles as Role[],
    logLevel: oneOf('LOG_LEVEL', 'info', ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    demo: demo === null ? null : !['0', 'false', 'off', 'no'].includes(demo.toLowerCase()),
    controlTrust: oneOf('CONTROL_TRUST', 'hinted', ['claimed', 'hinted', 'bound']),
    timeScale,
    databaseUrl: text('DATABASE_URL'),
    adminToken: text('ADMIN_TOKEN'),
    tenantKey: text('TENANT_KEY'),
    venuesCsv: text('VENUES_CSV'),
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
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}
