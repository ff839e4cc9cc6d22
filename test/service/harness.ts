/**
 * The whole service as a process of its own, with the providers' fakes and a small world around it: what a story needs.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type FakeSoundtrack, type FakeSoundtrackOptions, startFakeSoundtrack } from '../../connectors/soundtrack/fake.ts'
import { type World, world } from '../../connectors/soundtrack/fake-world.ts'
import { type FakeWhatsApp, startFakeWhatsApp } from '../../connectors/whatsapp/fake.ts'
import type { FakeSent } from '../../connectors/whatsapp/fake-messages.ts'
import { addresses } from '../stack/vitest.ts'

const root = join(import.meta.dirname, '../..')
export const ADMIN_TOKEN = 'an-invented-admin-token-of-the-tests'
const SECRETS = { phoneNumberId: '106540352242922', accessToken: 'access', appSecret: 'app-secret', verifyToken: 'verify' }

/** The person on file at venue 1. */
export const CONTACT = { from: '66812345678', name: 'Somchai' }
/** On file nowhere. */
export const STRANGER = { from: '66899999999', name: 'Alex' }

export interface Service {
  readonly url: string
  readonly folder: string
  readonly sheet: string
  readonly soundtrack: FakeSoundtrack
  /** Of the process; 0 while there is none. */
  readonly pid: number
  readonly whatsapp: FakeWhatsApp
  readonly world: World
  /** What the process has printed, of its present life. */
  readonly output: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any body
  get(path: string, token?: string | null): Promise<{ status: number; body: any }>
  /** Sends what a person writes, and resolves with the replies that come within `wait` ms of the first. */
  say(person: { from: string; name: string }, text: string, options?: SayOptions): Promise<FakeSent[]>
  /** The conversation of a person, as the API shows it. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any body
  conversation(person: { from: string }): Promise<any>
  /** Waits until every venue's zones have been read for the first time. */
  zonesKnown(): Promise<void>
  /** The end offset of every partition, `topic/partition`, as the metrics show it. */
  offsets(): Promise<Record<string, number>>
  /** Asks the serving store itself: the API shows only the newest of a long conversation. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any row
  query(sql: string): Promise<any[]>
  /** Ends the process at once, as a power cut would. */
  kill(): Promise<void>
  /** Ends it by SIGTERM; resolves with its exit code. */
  terminate(): Promise<number | null>
  /** Resolves with its exit code, once it ends by itself. */
  ended(): Promise<number | null>
  /** Starts it (again) on the same folder, and waits until it is ready. */
  start(options?: { ready?: boolean }): Promise<void>
  close(): Promise<void>
}

export interface SayOptions {
  /** Replies to wait for. */
  readonly replies?: number
  readonly ms?: number
  /** Id of the button or row pressed. */
  readonly action?: string
}

interface VenueItem {
  readonly zoneCounts: Record<string, number>
}

const smallWorld = world([
  { name: 'Blue Lagoon', locations: [{ name: 'Pattaya', zones: ['Lobby', 'Pool', 'Edge'] }] },
  { name: 'Lotus Bay', locations: [{ name: 'Phuket', zones: ['Bar', { name: 'Spa', kind: 'offline' as const }] }] },
  { name: 'Siam Terrace', locations: [{ name: 'Silom', zones: [{ name: 'Rooftop', kind: 'trial' as const }] }] },
])

/** The sheet of the small world; the columns in an order of their own. */
export function sheetOf({ accounts }: World): string {
  const [lagoon, bay, terrace] = accounts.map(a => a.id)
  return `venue_name,venue_id,location,contact_name,contact_position,contact_phone,soundtrack_account_id,zone_count,aliases,volume_cap
Blue Lagoon Pattaya,1,Beach Road,Somchai Jaidee,Duty Manager,+66 81 234 5678,${lagoon},3,บลูลากูน พัทยา,
Lotus Bay Phuket,2,Patong,Malee Suksan,Front Desk,081-111-2222,${bay},2,โลตัสเบย์,12
Siam Terrace,3,Silom Road,Nok Chaiyo,Owner,0822223333,${terrace},1,สยามเทอเรส,
`
}

/** A world of its own with its sheet: one venue with these zones for each person, who is on file there. */
export function houses(people: readonly { from: string }[], zones: readonly string[]): { world: World; sheet: string } {
  const names = people.map((_, n) => `${COLOURS[n % COLOURS.length]} ${KINDS[Math.floor(n / COLOURS.length)]}`)
  const made = world(names.map(name => ({ name, locations: [{ name: 'House', zones: [...zones] }] })))
  const header = 'venue_id,venue_name,location,contact_name,contact_position,contact_phone,soundtrack_account_id,volume_cap'
  const rows = people.map(
    ({ from }, n) => `${n + 1},${names[n]},Harbour Road ${n + 1},Nok Chaiyo,Owner,+${from},${made.accounts[n]?.id},`,
  )
  return { world: made, sheet: `${[header, ...rows].join('\n')}\n` }
}
const COLOURS = ['Amber', 'Cobalt', 'Crimson', 'Indigo', 'Ivory', 'Jade', 'Magenta', 'Ochre', 'Scarlet', 'Teal']
const KINDS = ['Lantern', 'Orchard', 'Pavilion', 'Veranda']

export interface ServiceOptions {
  readonly env?: Record<string, string>
  readonly world?: World
  readonly sheet?: string
  /** False: there is no sheet yet. */
  readonly ready?: boolean
  /** Puts into the data folder what is to be there before the first start. */
  readonly prepare?: (dataDir: string) => void
  readonly statuses?: FakeWhatsApp['statuses']
  readonly fakeSoundtrack?: Pick<FakeSoundtrackOptions, 'refillPerSecond' | 'onCall'>
}

export async function startService(options: ServiceOptions = {}): Promise<Service> {
  const { world: plan = smallWorld } = options
  const folder = mkdtempSync(join(tmpdir(), 'service-'))
  const sheet = join(folder, 'venues.csv')
  if (options.ready ?? true) writeFileSync(sheet, options.sheet ?? sheetOf(plan))
  options.prepare?.(join(folder, 'data'))
  const soundtrack = await startFakeSoundtrack({ world: plan, token: 'soundtrack-token', ...options.fakeSoundtrack })
  const whatsapp = await startFakeWhatsApp({
    ...SECRETS,
    ...(options.statuses === undefined ? {} : { statuses: options.statuses }),
  })
  const cluster = process.env.BMA_TEST_LOG === 'kafka' ? await clusterSettings() : {}
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  whatsapp.webhookUrl = `${url}/webhooks/whatsapp`
  const env = {
    ...process.env,
    ...cluster,
    PORT: String(port),
    DATA_DIR: join(folder, 'data'),
    LOG_LEVEL: 'warn',
    ADMIN_TOKEN,
    TENANT_KEY: 'an-invented-tenant-key-of-the-tests',
    SESSION_KEY: 'an-invented-session-key-of-the-tests',
    // Tests ask over and over until something has come.
    RATE_LIMIT_OTHER: '1000000',
    RATE_LIMIT_STATUS: '1000000',
    RATE_LIMIT_SEARCH: '1000000',
    VENUES_CSV: sheet,
    SOUNDTRACK_API_URL: soundtrack.url,
    SOUNDTRACK_API_TOKEN: 'soundtrack-token',
    WHATSAPP_API_URL: whatsapp.url,
    WHATSAPP_PHONE_NUMBER_ID: SECRETS.phoneNumberId,
    WHATSAPP_ACCESS_TOKEN: SECRETS.accessToken,
    WHATSAPP_APP_SECRET: SECRETS.appSecret,
    WHATSAPP_VERIFY_TOKEN: SECRETS.verifyToken,
    ...options.env,
  }
  let child: ChildProcess | null = null
  let output = ''
  const ended = () =>
    child === null || child.exitCode !== null || child.signalCode !== null
      ? null
      : new Promise<void>(resolve => child?.once('exit', () => resolve()))
  const service: Service = {
    url,
    folder,
    sheet,
    soundtrack,
    whatsapp,
    world: plan,
    get output() {
      return output
    },
    get pid() {
      return child?.pid ?? 0
    },
    async get(path, token = ADMIN_TOKEN) {
      const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` }
      const response = await fetch(url + path, { headers })
      return { status: response.status, body: await response.json() }
    },
    async say({ from, name }, text, { replies = 1, ms = 15_000, action } = {}) {
      const before = whatsapp.sent.length
      const content = action === undefined ? { text } : { button: { id: action, title: text } }
      await whatsapp.deliver({ from, name, ...content })
      const mine = () => whatsapp.sent.slice(before).filter(m => m.to === from)
      await until(
        () => mine().length >= replies,
        ms,
        () => `${replies} replies to "${text}"; there are ${JSON.stringify(mine().map(m => m.text))}\n${output}`,
      )
      return mine()
    },
    async conversation({ from }) {
      const found = await until(async () => {
        const { body } = await service.get(`/api/v1/conversations?channel=whatsapp&user=${from}`)
        return body.items[0]
      })
      return (await service.get(`/api/v1/conversations/${encodeURIComponent(found.id)}`)).body
    },
    async zonesKnown() {
      const known = (counts: Record<string, number>) => Object.values(counts).some(n => n > 0)
      await until(
        async () => (await service.get('/api/v1/venues?limit=200')).body.items.every((v: VenueItem) => known(v.zoneCounts)),
        20_000,
        () => 'every venue has zones',
      )
    },
    async offsets() {
      const text = await (await fetch(`${url}/metrics`)).text()
      const found = text.matchAll(/^kafka_topic_partition_current_offset\{topic="([^"]+)",partition="(\d+)"\} (\d+)/gm)
      return Object.fromEntries([...found].map(([, topic, partition, offset]) => [`${topic}/${partition}`, Number(offset)]))
    },
    async query(sql) {
      const [, , , port] = readFileSync(join(env.DATA_DIR, 'postgres', 'postmaster.pid'), 'utf8').split('\n')
      const password = readFileSync(join(env.DATA_DIR, 'postgres.password'), 'utf8').trim()
      const client = new pg.Client({ host: '127.0.0.1', port: Number(port), user: 'postgres', password })
      await client.connect()
      try {
        return (await client.query(sql)).rows
      } finally {
        await client.end()
      }
    },
    async kill() {
      const gone = ended()
      child?.kill('SIGKILL')
      await gone
    },
    async terminate() {
      const gone = ended()
      child?.kill('SIGTERM')
      await gone
      return child?.exitCode ?? null
    },
    async ended() {
      await ended()
      return child?.exitCode ?? null
    },
    async start({ ready = true } = {}) {
      output = ''
      const life = spawn(process.execPath, started(), { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
      child = life
      for (const stream of [life.stdout, life.stderr]) stream?.on('data', chunk => (output += chunk))
      const up = async () => {
        if (life.exitCode !== null) throw new Error(`the service has ended with ${life.exitCode}:\n${output}`)
        const answer = await fetch(`${url}/${ready ? 'readyz' : 'healthz'}`).catch(() => null)
        return answer?.status === 200
      }
      await until(up, 60_000, () => `the service is not up:\n${output}`)
    },
    async close() {
      await service.kill()
      await Promise.all([soundtrack.close(), whatsapp.close()])
      await stopPostgres(join(folder, 'data'))
      rmSync(folder, { recursive: true, force: true })
    },
  }
  try {
    await service.start({ ready: options.ready ?? true })
  } catch (error) {
    await service.close()
    throw error
  }
  return service
}

/** What `npm start` starts, under the same flags. */
function started(): string[] {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: { start: string } }
  return scripts.start.split(' ').slice(1)
}

/** A service of its own on the cluster that all tests share. */
async function clusterSettings(): Promise<Record<string, string>> {
  const { KAFKA_BROKERS, SCHEMA_REGISTRY_URL } = await addresses()
  const prefix = `service-${randomUUID().slice(0, 8)}.`
  return { KAFKA_BROKERS, SCHEMA_REGISTRY_URL, KAFKA_PREFIX: prefix, KAFKA_PARTITIONS: '6', KAFKA_SESSION_TIMEOUT_MS: '6000' }
}

/** Waits for a condition. @throws after `ms`, saying what was waited for. */
export async function until<T>(
  condition: () => Promise<T> | T,
  ms = 15_000,
  what: () => string = () => String(condition),
): Promise<NonNullable<T>> {
  const end = Date.now() + ms
  for (;;) {
    const value = await condition()
    if (value) return value as NonNullable<T>
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what()}`)
    await sleep(20)
  }
}

/** A killed service leaves its Postgres running, to be taken over; nobody will, so it is stopped by its own pid file. */
async function stopPostgres(dataDir: string): Promise<void> {
  const { readFile } = await import('node:fs/promises')
  const pid = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').then(
    text => Number(text.split('\n')[0]),
    () => 0,
  )
  if (pid <= 0) return
  try {
    process.kill(pid, 'SIGQUIT')
    await until(() => !alive(pid), 10_000)
  } catch {} // gone already
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
