import { connect } from 'node:net'
import pg from 'pg'
import { afterAll, expect, it } from 'vitest'
import { Kafka, logLevel } from '../../topics/kafka/hardening.ts'
import { startStack } from './stack.ts'
import { describeWithStack } from './vitest.ts'

const kafka = (brokers: string) => new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING })

await describeWithStack('the real servers', addresses => {
  it('answer', async () => {
    const admin = kafka(addresses.KAFKA_BROKERS).admin()
    await admin.connect()
    expect((await admin.describeCluster()).brokers).toHaveLength(1)
    await admin.disconnect()
    expect(Array.isArray(await (await fetch(`${addresses.SCHEMA_REGISTRY_URL}/subjects`)).json())).toBe(true)
    const sql = new pg.Client({ connectionString: addresses.DATABASE_URL })
    await sql.connect()
    expect((await sql.query('SELECT version()')).rows[0].version).toMatch(/^PostgreSQL 1\d/)
    await sql.end()
    const { hostname, port } = new URL(addresses.REDIS_URL)
    const pong = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => socket.write('PING\r\n'))
      socket.once('error', reject)
      socket.once('data', data => {
        socket.destroy()
        resolve(data.toString())
      })
    })
    expect(pong).toBe('+PONG\r\n')
  })

  it('keep what they have over a kill, and leave no process behind', async () => {
    const stack = await startStack({ only: ['kafka'] })
    afterAll(() => stack.stop())
    const broker = stack.broker!
    const admin = kafka(broker.address).admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 2 }] })
    await admin.disconnect()
    await broker.server.kill()
    await broker.server.start()
    await admin.connect()
    expect(await admin.listTopics()).toContain('kept')
    await admin.disconnect()
    const { pid } = broker.server
    await stack.stop()
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  }, 60_000)
})
