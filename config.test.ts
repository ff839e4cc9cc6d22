import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { CONNECTORS } from './connectors/index.ts'
import { DEFAULT_CHOICES } from './domain/tenants.ts'
import { ConfigError, configFrom, knownSettings, SECTIONS } from './config.ts'

const WHATSAPP = {
  WHATSAPP_PHONE_NUMBER_ID: '100000000000001',
  WHATSAPP_ACCESS_TOKEN: 'access',
  WHATSAPP_APP_SECRET: 'app-secret',
  WHATSAPP_VERIFY_TOKEN: 'verify',
}
const GOOD = '3f9c2a7be1d84560917cab30de52f864'

function refusal(env: Record<string, string>): string {
  try {
    configFrom(env)
    return ''
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
}

test('a port is shared by processes that count their limits together, and have a port of their own', () => {
  const cluster = {
    KAFKA_BROKERS: '127.0.0.1:9092',
    SCHEMA_REGISTRY_URL: 'http://127.0.0.1:8081',
    ROLES: 'api',
    DATABASE_URL: 'postgresql://127.0.0.1/x',
    TENANT_KEY: GOOD,
    SESSION_KEY: `${GOOD}x`,
    OWN_PORT: '3001',
  }
  expect(configFrom({ ...cluster, REDIS_URL: 'redis://127.0.0.1' }).ownPort).toBe(3_001)
  expect(refusal(cluster)).toContain('REDIS_URL is missing')
  expect(refusal({ ...cluster, REDIS_URL: 'redis://127.0.0.1', PORT: '3001' })).toContain('OWN_PORT must be another port')
  expect(refusal({ OWN_PORT: '3001' })).toContain('the local log belongs to one process')
  expect(configFrom({}).ownPort).toBeNull()
})

test('messages are kept for ever, or for as many days as said', () => {
  expect(configFrom({}).messageRetentionDays).toBeNull()
  expect(configFrom({ MESSAGE_RETENTION_DAYS: '90' }).messageRetentionDays).toBe(90)
  expect(refusal({ MESSAGE_RETENTION_DAYS: '0' })).toContain('MESSAGE_RETENTION_DAYS is "0"')
})

describe('a secret that could be guessed', () => {
  const names = ['ADMIN_TOKEN', 'SESSION_KEY', 'TENANT_KEY', 'JWT_SECRET']

  test.each(names)('keeps the service from starting, and is named: %s', name => {
    for (const [weak, why] of [
      ['1', 'shorter than 32'],
      [GOOD.slice(1), 'shorter than 32'],
      ['0'.repeat(64), 'only 1 different'],
      ['abcabc'.repeat(8), 'only 3 different'],
      ['0123456789'.repeat(4), 'repeats 10'],
    ] as const) {
      const said = refusal({ ...WHATSAPP, [name]: weak })
      expect([weak, said]).toEqual([weak, expect.stringContaining(`${name} `)])
      expect(said).toContain(why)
      expect(said).toContain('openssl rand -hex 32')
      expect(said.replaceAll(/\d+ (different|characters)/g, '')).not.toContain(weak.slice(0, 20).padEnd(20))
    }
    expect(refusal({ ...WHATSAPP, [name]: GOOD })).toBe('')
  })

  test('of the provider keeps the service from starting, too', () => {
    for (const weak of ['s', 'secret1', 'aaaaaaaaaaaa']) {
      const said = refusal({ ...WHATSAPP, WHATSAPP_APP_SECRET: weak })
      expect(said).toContain('WHATSAPP_APP_SECRET is no app secret')
      if (weak.length > 1) expect(said).not.toContain(weak)
    }
    expect(refusal({ ...WHATSAPP, WHATSAPP_APP_SECRET: GOOD })).toBe('')
  })

  test('is one in the demo only while nobody else reaches it', () => {
    expect(refusal({ ADMIN_TOKEN: 'demo' })).toBe('')
    expect(refusal({ ADMIN_TOKEN: 'demo', HOST: '0.0.0.0' })).toContain('ADMIN_TOKEN')
    expect(refusal({ ADMIN_TOKEN: 'demo', NODE_ENV: 'production' })).toContain('ADMIN_TOKEN')
    expect(refusal({ ADMIN_TOKEN: 'demo', DEMO: '0' })).toContain('ADMIN_TOKEN')
    expect(refusal({ JWT_SECRET: 'short' })).toContain('JWT_SECRET')
  })

  test('that conversations are kept under may stay, where somebody says so', () => {
    expect(refusal({ ...WHATSAPP, TENANT_KEY: 't', TENANT_KEY_KEPT: '1' })).toBe('')
    expect(refusal({ ...WHATSAPP, SESSION_KEY: 't', TENANT_KEY_KEPT: '1' })).toContain('SESSION_KEY')
  })

  test('is not what a random one looks like', () => {
    for (let n = 0; n < 1_000; n++) {
      const secret = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex')
      expect(refusal({ ...WHATSAPP, ADMIN_TOKEN: secret })).toBe('')
    }
  })
})

test("bears providers' moods as documented where nothing is set", () => {
  expect(configFrom({}).providers).toEqual({
    breakerFailures: 3,
    breakerProbeMs: 5_000,
    breakerMostMs: 300_000,
    channelShare: 0.5,
    channelCalls: 20,
    limitMs: 1_000,
    limitMostMs: 30_000,
    firstWordMs: 15_000,
    tryMs: 120_000,
  })
})

test.each([
  ['FIRST_WORD_MS', '20000', 'a person would wait for more than 20 s'],
  ['LIMIT_PAUSE_MS', '999', 'a limit is kept for a second at least'],
  ['CHANNEL_BREAKER_CALLS', '19', 'fewer calls say nothing'],
  ['CHANNEL_BREAKER_RATE', '1', 'it would never open'],
  ['BREAKER_FAILURES', '0', 'it would never close'],
])('refuses %s=%s: %s', (name, value) => {
  expect(() => configFrom({ [name]: value })).toThrow(new RegExp(`${name} is "${value}"`))
})

describe('the list of settings', () => {
  it('has each name once, with a description, and no secret with a default', () => {
    const names = knownSettings().map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    for (const { name, description, secret, default: otherwise } of knownSettings()) {
      expect(name).toMatch(/^[A-Z][A-Z_]+$/)
      expect(description, name).toMatch(/\w{3}.*\.$/)
      if (secret) expect(otherwise, name).toBeNull()
    }
  })

  it('has those of every connector; what is required of one is declared', () => {
    for (const { settings } of CONNECTORS) {
      expect(SECTIONS).toContain(settings)
      expect(settings.required.length).toBeGreaterThan(0)
      expect(settings.settings.map(({ name }) => name)).toEqual(expect.arrayContaining([...settings.required]))
    }
  })

  it('is that of docs/SETTINGS.md, which marks the same ones as secrets', () => {
    const page = readFileSync(join(import.meta.dirname, 'docs/SETTINGS.md'), 'utf8')
    const rows = [...page.matchAll(/^\| ([^|]+) \|.*\|([^|]*)\|$/gm)].flatMap(([, names = '', secret = '']) =>
      [...names.matchAll(/`([A-Z][A-Z_]+)`/g)].map(([, name]) => [name, secret.includes('yes')]),
    )
    expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(knownSettings().map(({ name, secret }) => [name, secret])))
  })
})

test('a connector is configured by all of its settings or by none', () => {
  const names = (env: Record<string, string>) =>
    configFrom(env)
      .connectors()
      .map(({ name }) => name)
  expect(names({})).toEqual([])
  expect(names({ ...WHATSAPP, VENUES_CSV: 'x.csv' })).toEqual(['whatsapp', 'sheets'])
  expect(names({ SOUNDTRACK_API_TOKEN: 't' })).toEqual(['soundtrack'])
  expect(refusal({ WHATSAPP_PHONE_NUMBER_ID: '1', WHATSAPP_VERIFY_TOKEN: 'v' })).toContain(
    'WhatsApp is configured in part: WHATSAPP_ACCESS_TOKEN, WHATSAPP_APP_SECRET are missing',
  )
})

test('a broken address is one problem, not two', () => {
  const said = refusal({ KAFKA_BROKERS: '127.0.0.1:9092', SCHEMA_REGISTRY_URL: 'nowhere' })
  expect(said.match(/SCHEMA_REGISTRY_URL/g)).toHaveLength(1)
})

test('a connector may be tried with other settings; what is wrong with them is refused', () => {
  const { connectors } = configFrom({})
  expect(connectors(WHATSAPP).map(({ name, account }) => [name, account])).toEqual([['whatsapp', '100000000000001']])
  expect(() => connectors({ ...WHATSAPP, WHATSAPP_APP_SECRET: 's' })).toThrow(ConfigError)
})

test('a variable that looks like a setting is refused, with the name that is meant', () => {
  expect(refusal({ RATE_LIMIT_SERCH: '3' })).toContain('there is no setting RATE_LIMIT_SERCH; did you mean RATE_LIMIT_SEARCH?')
  expect(refusal({ VENUE_CSV: 'x.csv' })).toContain('did you mean VENUES_CSV?')
  expect(refusal({ ADMIN_TOKN_FILE: '/x' })).toContain('did you mean ADMIN_TOKEN_FILE?')
  for (const name of [
    'PATH',
    'HOSTNAME',
    'LANGUAGE',
    'LOGNAME',
    'KAFKA_OPTS',
    'npm_config_cache',
    'TERM',
    'PWD',
    'HOSTS',
    'RUN_PORT',
    'LC_LEVEL',
  ])
    expect(refusal({ [name]: 'x' })).toBe('')
  // Where the right one is set, the other is somebody else's.
  expect(refusal({ REDIS_URI: 'redis://127.0.0.1', REDIS_URL: 'redis://127.0.0.1' })).toBe('')
})

test('what a tenant decides at first is checked as a whole', () => {
  const { tenant } = configFrom({ SUPPORT_HOURS: '09:00-17:30', TIME_ZONE: 'Europe/Berlin', QUIET_HOURS: '22:00-07:00' })
  expect(tenant).toMatchObject({ supportFrom: '09:00', supportTo: '17:30', timeZone: 'Europe/Berlin', quietTo: '07:00' })
  expect(configFrom({}).tenant).toEqual(DEFAULT_CHOICES)
  expect(refusal({ SUPPORT_HOURS: 'always' })).toContain('SUPPORT_HOURS is "always"')
  expect(refusal({ SUPPORT_HOURS: '21:00-08:00' })).toContain('SUPPORT_HOURS: "08:00" must be later than 21:00')
  expect(refusal({ TIME_ZONE: 'Mars/Olympus' })).toContain('TIME_ZONE: "Mars/Olympus"')
  expect(refusal({ PHONE_COUNTRY_CODE: '+66' })).toContain('PHONE_COUNTRY_CODE: "+66"')
})
