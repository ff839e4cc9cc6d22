import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { describeWithStack } from '../stack/vitest.ts'
import { type Service, startService } from './harness.ts'

/** Settings of the channel and of what belongs to an installation: what is gone when a secret is lost. */
const CONFIGURED =
  /^(VENUES_CSV|SOUNDTRACK_|WHATSAPP_|DATABASE_URL|REDIS_URL|CLICKHOUSE_URL|KAFKA_|SCHEMA_REGISTRY_URL|DEMO|ROLES|HOST)/

/** Starts the service, and ends it once it is up; one that is refused ends by itself. */
function start(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const kept = Object.entries(process.env).filter(([name]) => !CONFIGURED.test(name))
  return new Promise(resolve => {
    const child = spawn(process.execPath, ['main.ts'], {
      cwd: join(import.meta.dirname, '../..'),
      env: { ...Object.fromEntries(kept), PORT: '0', ...env },
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += chunk))
    child.stdout.on('data', () => /BMA Social is at/.test(output) && child.kill('SIGTERM'))
    child.once('exit', code => resolve({ code, output }))
  })
}

describe('a live installation', () => {
  let service: Service
  beforeAll(async () => {
    service = await startService()
  })
  afterAll(() => service.close())
  const data = () => join(service.folder, 'data')
  const names = async () =>
    (await service.get('/api/v1/venues?limit=200')).body.items.map((venue: { name: string }) => venue.name).sort()

  it('can be read by nobody but its owner', () => {
    const open = readdirSync(data(), { recursive: true, encoding: 'utf8' }).flatMap(name => {
      const stat = lstatSync(join(data(), name), { throwIfNoEntry: false })
      return stat === undefined || stat.isSymbolicLink() || (stat.mode & 0o077) === 0 ? [] : [`${name} ${stat.mode.toString(8)}`]
    })
    expect(open).toEqual([])
    expect(lstatSync(data()).mode & 0o777).toBe(0o700)
  })

  it('keeps its venues where it is started without its settings', { timeout: 90_000 }, async () => {
    const before = await vi.waitFor(
      async () => {
        const found = await names()
        expect(found).toHaveLength(3)
        return found
      },
      { timeout: 20_000, interval: 100 },
    )
    expect(await service.terminate()).toBe(0)
    const starts: Record<string, string>[] = [
      {},
      { DEMO: '1' },
      { HOST: '0.0.0.0', NODE_ENV: 'production' },
      { VENUES_CSV: service.sheet },
    ]
    for (const env of starts) {
      const { code, output } = await start({ DATA_DIR: data(), ...env })
      expect(output, JSON.stringify(env)).toMatch(/demo/)
      expect(output).not.toMatch(/BMA Social is at|\n {4}at /)
      expect(code).toBe(1)
    }
    await service.start()
    expect(await names()).toEqual(before)
    expect(readFileSync(join(data(), 'installation'), 'utf8')).toMatch(/^live\n/)
  })
})

describe('a start without settings where others reach it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'refused-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each<Record<string, string>>([{ NODE_ENV: 'production' }, { HOST: '0.0.0.0' }, { HOST: '::' }])(
    'is refused: %o',
    async env => {
      const { code, output } = await start({ DATA_DIR: join(folder, 'data'), ...env })
      expect(output).toMatch(/WHATSAPP_PHONE_NUMBER_ID.*are missing.*the demo never runs.*DEMO=0/)
      expect(code).toBe(1)
      expect(readdirSync(join(folder, 'data'))).toEqual([])
    },
  )
})

/** There the log is not in the folder. */
if (process.env.BMA_TEST_LOG === 'kafka') {
  await describeWithStack('a log on a cluster', ({ KAFKA_BROKERS, SCHEMA_REGISTRY_URL }) => {
    const folder = mkdtempSync(join(tmpdir(), 'marked-'))
    afterAll(() => rmSync(folder, { recursive: true, force: true }))
    const prefix = `marked-${randomUUID().slice(0, 8)}.`
    const cluster = { KAFKA_BROKERS, SCHEMA_REGISTRY_URL, KAFKA_PREFIX: prefix, KAFKA_PARTITIONS: '2', LOG_LEVEL: 'warn' }
    const live = {
      WHATSAPP_PHONE_NUMBER_ID: '1',
      WHATSAPP_ACCESS_TOKEN: 'a',
      WHATSAPP_APP_SECRET: 'app-secret',
      WHATSAPP_VERIFY_TOKEN: 'v',
    }

    it('is the demo only where it is asked for, and then nobody else uses it', { timeout: 180_000 }, async () => {
      const [demo, other, third] = ['demo', 'live', 'third'].map(name => ({ ...cluster, DATA_DIR: join(folder, name) }))
      expect((await start(demo as never)).output).toMatch(/does not run with KAFKA_BROKERS/)
      expect(await start({ ...demo, DEMO: '1' })).toMatchObject({ code: 0 })
      const refused = await start({ ...other, ...live })
      expect(refused.output).toMatch(/is of the demo: give this installation a KAFKA_PREFIX of its own/)
      expect(refused.code).toBe(1)
      expect(await start({ ...third, DEMO: '1' }), 'the demo, with another folder').toMatchObject({ code: 0 })
      // And the other way round.
      const taken = { KAFKA_PREFIX: `live-${prefix}`, VENUES_CSV: join(folder, 'none.csv') }
      expect(await start({ ...other, ...live, ...taken })).toMatchObject({ code: 0 })
      const demoThere = await start({ ...demo, ...taken, VENUES_CSV: '', DEMO: '1' })
      expect(demoThere.output).toMatch(/holds what the demo has not written/)
      expect(demoThere.code).toBe(1)
    })
  })
}
