import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { Kafka, logLevel } from '../../topics/kafka/hardening.ts'
import { startOf } from './shared.ts'
import { startBroker, startStack } from './stack.ts'
import { describeWithStack } from './vitest.ts'

const adminOf = (brokers: string) => new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).admin()

await describeWithStack('the real servers', ({ KAFKA_BROKERS, SCHEMA_REGISTRY_URL, REDIS_URL, DATABASE_URL }) => {
  it('answer', async () => {
    const admin = adminOf(KAFKA_BROKERS)
    await admin.connect()
    expect((await admin.describeCluster()).brokers.length).toBeGreaterThan(0)
    await admin.disconnect()
    expect(await (await fetch(`${SCHEMA_REGISTRY_URL}/subjects`)).json()).toBeInstanceOf(Array)
    const sql = new pg.Client({ connectionString: DATABASE_URL })
    await sql.connect()
    expect((await sql.query('SELECT version()')).rows[0].version).toMatch(/^PostgreSQL 1\d/)
    await sql.end()
    expect(await ask(REDIS_URL, 'PING\r\n')).toBe('+PONG\r\n')
  })
})

await describeWithStack('servers of one’s own', () => {
  it('keep topics when the broker is killed and started again on its port', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'broker-'))
    // Until its old session is over, a broker that was killed may not come back: 9 s by default.
    const { address, server } = await startBroker({ folder, properties: { 'broker.session.timeout.ms': '2000' } })
    onTestFinished(async () => {
      await server.kill()
      rmSync(folder, { recursive: true, force: true })
    })
    const admin = adminOf(address)
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 2 }] })
    await admin.disconnect()
    const killed = server.pid
    await server.kill()
    expect(startOf(killed)).toBeNull()
    await server.start()
    await admin.connect()
    expect(await admin.listTopics()).toContain('kept')
    await admin.disconnect()
    const { pid } = server
    await server.stop()
    expect(startOf(pid)).toBeNull()
  }, 60_000)

  it('leave no process and no data behind when stopped', async () => {
    const stack = await startStack({ only: ['redis', 'postgres'] })
    onTestFinished(() => stack.stop())
    const pids = [stack.pids.redis!, stack.pids.postgres!]
    for (const pid of pids) expect(startOf(pid)).not.toBeNull()
    await stack.stop()
    for (const pid of pids) expect(startOf(pid)).toBeNull()
    expect(existsSync(stack.folder)).toBe(false)
  }, 60_000)
})

function ask(url: string, what: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(what))
    socket.once('error', reject)
    socket.once('data', data => {
      socket.destroy()
      resolve(data.toString())
    })
  })
}
