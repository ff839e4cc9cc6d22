import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configFrom } from '../../config.ts'
import { openFolder } from '../../service/folder.ts'
import { until } from './harness.ts'

/** What somebody sees who has just cloned it: `npm start`, nothing configured. */
describe('npm start with nothing configured', () => {
  const folder = mkdtempSync(join(tmpdir(), 'start-'))
  let child: ChildProcess
  let output = ''
  let url = ''
  const token = () => readFileSync(join(folder, 'data', 'admin.token'), 'utf8').trim()
  const items = async (path: string) => {
    const response = await fetch(url + path, { headers: { authorization: `Bearer ${token()}` } })
    return ((await response.json()) as { items: Record<string, unknown>[] }).items
  }

  beforeAll(async () => {
    const configured =
      /^(VENUES_CSV|SOUNDTRACK_|WHATSAPP_|DATABASE_URL|REDIS_URL|CLICKHOUSE_URL|KAFKA_|SCHEMA_REGISTRY_URL|ADMIN_TOKEN|DEMO|ROLES|HOST)/
    const kept = Object.entries(process.env).filter(([name]) => !configured.test(name))
    const env = { ...Object.fromEntries(kept), DATA_DIR: join(folder, 'data'), PORT: '0' }
    child = spawn('npm', ['start'], {
      cwd: join(import.meta.dirname, '../..'),
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (output += chunk))
    url = await until(
      () => /BMA Social is at (http:\S+)/.exec(output)?.[1],
      60_000,
      () => `the address is printed:\n${output}`,
    )
  })

  afterAll(async () => {
    if (child.exitCode === null) {
      process.kill(-(child.pid as number), 'SIGTERM')
      await until(
        () => child.exitCode !== null || child.signalCode !== null,
        20_000,
        () => 'it ends',
      )
    }
    rmSync(folder, { recursive: true, force: true })
  })

  it('is ready with the invented world, and shows a page', { timeout: 60_000 }, async () => {
    await until(
      async () => (await fetch(`${url}/readyz`)).status === 200,
      60_000,
      () => `it is ready:\n${output}`,
    )
    const page = await fetch(url)
    expect(page.headers.get('content-type')).toMatch('text/html')
    expect(await page.text()).toMatch('<html')
    const venues = await until(async () => {
      const found = await items('/api/v1/venues?limit=200')
      return found.length === 200 ? found : null
    })
    expect(new Set(venues.map(v => v.id)).size).toBe(200)
  })

  it('says where its API is described', async () => {
    const docs = await until(
      () => /API described at (http:\S+)/.exec(output)?.[1],
      10_000,
      () => `it is printed:\n${output}`,
    )
    const answer = await fetch(docs)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, expect.stringMatching('text/html')])
  })

  it('writes log lines that have each name once', () => {
    const lines = output.split('\n').filter(line => line.startsWith('{'))
    expect(lines.join('\n')).toMatch(/embedded Postgres is running/)
    for (const line of lines) expect(line.match(/"pid":/g)).toHaveLength(1)
  })

  it('has made and marked a folder that real settings are refused on', () => {
    expect(readFileSync(join(folder, 'data', 'installation'), 'utf8')).toMatch(/^demo\n/)
    const settings = configFrom({
      DATA_DIR: join(folder, 'data'),
      WHATSAPP_PHONE_NUMBER_ID: '1',
      WHATSAPP_ACCESS_TOKEN: 'a',
      WHATSAPP_APP_SECRET: 'app-secret',
      WHATSAPP_VERIFY_TOKEN: 'v',
    })
    expect(() => openFolder(settings, { warn: () => {} })).toThrow(/is of the demo: give this installation a DATA_DIR of its own/)
  })
})

it('says what is in the way where it cannot listen', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'taken-'))
  const taken = createServer().listen(0, '127.0.0.1')
  try {
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const env = { ...process.env, DATA_DIR: join(folder, 'data'), HOST: '127.0.0.1', PORT: String(port), LOG_LEVEL: 'error' }
    const child = spawn('node', ['main.ts'], {
      cwd: join(import.meta.dirname, '../..'),
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', chunk => (said += chunk))
    // Its databases, which have the same pipe, end a little later.
    await until(
      () => child.exitCode !== null && said.endsWith('\n'),
      50_000,
      () => `it ends: ${said}`,
    )
    expect(child.exitCode).toBe(1)
    expect(said).toBe(`127.0.0.1:${port} is taken by another process: set HOST and PORT\n`)
  } finally {
    taken.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
