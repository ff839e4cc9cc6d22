import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, expect, it } from 'vitest'
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
  afterAll(async () => {
    for (const name of made) await ask(`DROP DATABASE ${name} WITH (FORCE)`)
  })

  const seed = Number(process.env.SEED ?? 1)
  const faults = Number(process.env.FAULTS ?? 3)
  it(`leave every store as if nothing had happened (${faults} of each, seed ${seed})`, { timeout: 600_000 }, async () => {
    const addresses = { database: await database() }
    const clean = { database: await database() }
    const { differences, ...rest } = await chaos({ seed, faults, brokers: KAFKA_BROKERS, addresses, clean })
    console.log(JSON.stringify(rest))
    expect(differences).toEqual([])
    expect(rest.records).toBeGreaterThan(1_000)
    expect(Object.values(rest.lines).every(lines => lines > 0)).toBe(true)
  })
})
