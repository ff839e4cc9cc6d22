import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, expect, it } from 'vitest'
import { startEmbeddedClickHouse } from '../../sinks/clickhouse/embedded.ts'
import { freePort, Server } from '../stack/server.ts'
import { describeWithStack } from '../stack/vitest.ts'
import { chaos } from './chaos.ts'

/** A short run; `FAULTS=20` is the long one. */
await describeWithStack('sinks that are killed and stopped past their sessions', ({ KAFKA_BROKERS, DATABASE_URL }) => {
  const made: string[] = []
  const ask = async (sql: string) => {
    const client = new pg.Client({ connectionString: DATABASE_URL })
    await client.connect()
    await client.query(sql).finally(() => client.end())
  }
  const database = async () => {
    const name = `chaos_${randomUUID().replaceAll('-', '')}`
    await ask(`CREATE DATABASE ${name}`)
    made.push(name)
    const url = new URL(DATABASE_URL)
    url.pathname = name
    return url.href
  }
  const closers: (() => unknown)[] = []
  const servers: Server[] = []
  /** Redis is away, and comes back empty. */
  const interrupt = async () => {
    await servers[0]?.kill()
    await setTimeout(3_000)
    await servers[0]?.start()
  }
  const redis = async () => {
    const port = await freePort()
    const server = new Server({
      name: 'redis',
      command: 'redis-server',
      args: ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
      logFile: '/dev/null',
      ready: () => answers(port),
    })
    await server.start()
    closers.push(() => server.kill())
    servers.push(server)
    return `redis://127.0.0.1:${port}`
  }
  const clickhouse = async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'chaos-clickhouse-'))
    const server = await startEmbeddedClickHouse({ dataDir, log: { info: () => {}, warn: () => {} } })
    closers.push(async () => {
      await server.stop()
      rmSync(dataDir, { recursive: true, force: true })
    })
    return server.url
  }
  const stores = async () => ({ database: await database(), redis: await redis(), clickhouse: await clickhouse() })
  afterAll(async () => {
    for (const close of closers) await close()
    for (const name of made) await ask(`DROP DATABASE ${name} WITH (FORCE)`)
  })

  const seed = Number(process.env.SEED ?? 1)
  const faults = Number(process.env.FAULTS ?? 3)
  it(`leave every store as if nothing had happened (${faults} of each, seed ${seed})`, { timeout: 600_000 }, async () => {
    const addresses = await stores()
    const clean = await stores()
    const { differences, ...rest } = await chaos({ seed, faults, brokers: KAFKA_BROKERS, addresses, clean, interrupt })
    console.log(JSON.stringify(rest))
    expect(differences).toEqual([])
    expect(rest.records).toBeGreaterThan(1_000)
    const empty = Object.entries(rest.lines).filter(([, lines]) => lines === 0)
    expect(empty.map(([table]) => table)).toEqual(['clickhouse.differences of roll-ups'])
  })
})

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.end()
      resolve(true)
    }).on('error', () => resolve(false))
  })
}
