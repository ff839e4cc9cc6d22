/** Requests per second and p95 of the API at 1,000 connections, beside an empty route of Fastify. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { startEmbeddedPostgres } from '../sinks/postgres/embedded.ts'
import { migrate } from '../sinks/postgres/migrate.ts'
import { openPool } from '../sinks/postgres/pool.ts'
import { startStack } from '../test/stack/stack.ts'
import { type Load, load } from './load.ts'

const TOKEN = 'a-token-of-the-benchmark'
const VENUES = 10_000
const CONVERSATIONS = 20_000
const quiet = { info: () => {}, warn: () => {}, error: () => {} }

const FIRST = ['Blue', 'Golden', 'Siam', 'Lotus', 'Royal', 'Sunset', 'Coral', 'Jade', 'Silver', 'Palm']
const SECOND = ['Lagoon', 'Terrace', 'Garden', 'Palace', 'Pier', 'Harbour', 'Bay', 'Lounge', 'Kitchen', 'Spa']
const TOWNS = ['Bangkok', 'Phuket', 'Pattaya', 'Chiang Mai', 'Krabi', 'Hua Hin', 'Samui', 'Rayong']
const nameOf = (n: number) =>
  `${FIRST[n % 10]} ${SECOND[Math.floor(n / 10) % 10]} ${TOWNS[Math.floor(n / 100) % 8]} ${Math.floor(n / 800)}`

export async function benchApi(): Promise<{ name: string; load: Load }[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'bench-api-'))
  const server = await startEmbeddedPostgres({ dataDir, log: quiet })
  const pool = openPool({ url: server.url, log: quiet })
  const stack = await startStack({ only: ['redis'] })
  const results: { name: string; load: Load }[] = []
  try {
    await migrate(pool)
    await fill(pool)
    const run = async (name: string, args: readonly string[], paths: readonly string[]) => {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'api-server.ts'), ...args], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      try {
        const url = await new Promise<string>((resolve, reject) => {
          child.stdout.once('data', data => resolve(String(data).trim()))
          child.once('exit', code => reject(new Error(`the server ended with ${code}`)))
        })
        results.push({ name, load: await load(url, { paths, token: TOKEN }) })
      } finally {
        child.kill('SIGKILL')
      }
    }
    const api = ['--database', server.url, '--token', TOKEN, '--log', join(dataDir, 'log.sqlite')]
    const some = (count: number, path: (n: number) => string) =>
      Array.from({ length: count }, (_, n) => path((n * 7919) % VENUES))
    const venues = some(1_000, n => `/api/v1/venues/main:v${n}`)
    const typos = some(1_000, n => `/api/v1/venues?q=${encodeURIComponent(nameOf(n).slice(0, 12).replace('o', '0'))}&limit=10`)
    await run('empty route', [], ['/'])
    await run('venue by id, in process', api, venues)
    await run('venue by id, Redis', [...api, '--redis', stack.env.REDIS_URL as string], venues)
    await run('venue search, 10,000 venues', api, typos)
    await run('conversation list', api, ['/api/v1/conversations?limit=50'])
    await run(
      'conversation thread',
      api,
      some(1_000, n => `/api/v1/conversations/main:c${n}`),
    )
    return results
  } finally {
    await stack.stop()
    await pool.end()
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

/** 10,000 venues of three zones, 20,000 conversations of ten messages. */
export async function fill(pool: pg.Pool): Promise<void> {
  const names = Array.from({ length: VENUES }, (_, n) => nameOf(n))
  await pool.query(
    `INSERT INTO venues (id, name, location, aliases, volume_cap, provenance, removed, updated_at, version)
     SELECT 'main:v' || (n - 1), name, 'Beach Road, Phuket', '[]', 16, '{"name":{"source":"sheets","at":"2026-05-01T00:00:00Z"}}', false, now(), n
     FROM UNNEST($1::text[]) WITH ORDINALITY AS v (name, n)`,
    [names],
  )
  await pool.query(
    `INSERT INTO zones (venue_id, id, name, status, detail, playback, volume, as_of, version)
     SELECT 'main:v' || n, 'z' || z, 'Zone ' || z, 'online', '', 'playing', 8, now(), 1
     FROM generate_series(0, ${VENUES - 1}) AS n, generate_series(1, 3) AS z`,
  )
  for (const table of ['conversations', 'messages'])
    await pool.query(`SELECT make_month('${table}', '${table === 'messages' ? 'at' : 'opened_at'}', m::date)
      FROM generate_series(now() - interval '3 months', now(), interval '1 month') AS m`)
  await pool.query(
    `INSERT INTO conversations (id, channel, account, user_id, state, owner, trust, senders, venue_id, venue_name, requests, commands,
       opened_at, updated_at, last_inbound_at, version)
     SELECT 'main:c' || n, 'whatsapp', '1', '668' || n, 'IDENTIFIED', 'bot', 'hinted', '[]', 'main:v' || n % ${VENUES}, 'Venue', '[]', '[]',
       now() - n * interval '5 minutes', now(), now(), n FROM generate_series(0, ${CONVERSATIONS - 1}) AS n`,
  )
  await pool.query(
    `INSERT INTO messages (conversation_id, id, direction, channel, text, kind, at, status, reason, version)
     SELECT 'main:c' || n, 'm' || n || '-' || m, CASE WHEN m % 2 = 0 THEN 'in' ELSE 'out' END, 'whatsapp',
       'The music in the lobby is too loud, please turn it down', 'text', now() - n * interval '5 minutes' + m * interval '10 seconds', 'read', '', m
     FROM generate_series(0, ${CONVERSATIONS - 1}) AS n, generate_series(1, 10) AS m`,
  )
  await pool.query('ANALYZE')
}
