/**
 * Each store away for a while under load: the others go on, nothing is lost, `/readyz` says which. The schema registry away while
 * newer code writes: only those wait whose records cannot be read. `OUTAGE_S=60` is the long run.
 */
import { createHmac, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import avro from 'avsc'
import pg from 'pg'
import { expect, it } from 'vitest'
import { RECORD_ID } from '../../engine/headers.ts'
import { recordSchema } from '../../schemas/index.ts'
import type { ChatMessage } from '../../schemas/types.ts'
import { clickHouseClient, selectRows } from '../../sinks/clickhouse/client.ts'
import { startEmbeddedClickHouse } from '../../sinks/clickhouse/embedded.ts'
import { conversationInbox } from '../../topics/catalog.ts'
import { Codec } from '../../topics/codec.ts'
import { openKafkaLog } from '../../topics/kafka/log.ts'
import { ConfluentRegistry } from '../../topics/kafka/registry.ts'
import type { LogRecord } from '../../topics/log.ts'
import { openGate, through } from '../stack/gate.ts'
import { connectRedis } from '../stack/redis.ts'
import { startStack } from '../stack/stack.ts'
import { describeWithStack } from '../stack/vitest.ts'
import { type Service, startService, until } from './harness.ts'

const SECONDS = Number(process.env.OUTAGE_S ?? 4)
const RATE = 20
const quiet = { info: () => {}, warn: () => {}, error: () => {} }

function webhook(from: string, n: number): string {
  const message = {
    from,
    id: `wamid.${from}`,
    timestamp: String(Math.floor(Date.now() / 1000)),
    type: 'text',
    text: { body: `Hello ${n}` },
  }
  const value = {
    messaging_product: 'whatsapp',
    metadata: { display_phone_number: '15550783881', phone_number_id: '106540352242922' },
    contacts: [{ profile: { name: 'Guest' }, wa_id: from }],
    messages: [message],
  }
  return JSON.stringify({ object: 'whatsapp_business_account', entry: [{ id: '1', changes: [{ field: 'messages', value }] }] })
}

await describeWithStack('each store away under load', ({ DATABASE_URL }) => {
  it(`for ${SECONDS} s: the others go on, and nothing is lost`, { timeout: 600_000 }, async () => {
    const closers: (() => unknown)[] = []
    try {
      const name = `outage_${randomUUID().replaceAll('-', '')}`
      const admin = new pg.Client({ connectionString: DATABASE_URL })
      await admin.connect()
      closers.push(() => admin.end())
      await admin.query(`CREATE DATABASE ${name}`)
      closers.push(() => admin.query(`DROP DATABASE ${name} WITH (FORCE)`))
      const database = new URL(DATABASE_URL)
      database.pathname = name
      const stack = await startStack({ only: ['redis'] })
      closers.push(() => stack.stop())
      const dataDir = mkdtempSync(join(tmpdir(), 'outage-'))
      closers.push(() => rmSync(dataDir, { recursive: true, force: true }))
      const clickhouse = await startEmbeddedClickHouse({ dataDir, log: quiet })
      closers.push(() => clickhouse.stop())
      const urls = { postgres: database.href, redis: stack.env.REDIS_URL as string, clickhouse: clickhouse.url }
      const gateTo = (url: string) => openGate({ host: '127.0.0.1', port: Number(new URL(url).port) })
      const gates = {
        redis: await gateTo(urls.redis),
        clickhouse: await gateTo(urls.clickhouse),
        postgres: await gateTo(urls.postgres),
      }
      closers.push(() => Object.values(gates).map(gate => gate.shut()))
      const service = await startService({
        env: {
          DATABASE_URL: through(gates.postgres, urls.postgres),
          REDIS_URL: through(gates.redis, urls.redis),
          CLICKHOUSE_URL: through(gates.clickhouse, urls.clickhouse),
        },
      })
      closers.push(() => service.close())

      const refused: number[] = []
      let [sent, over] = [0, false]
      const loading = (async () => {
        while (!over) {
          const body = webhook(String(66_720_000_000 + sent), sent)
          sent++
          const signature = `sha256=${createHmac('sha256', 'app-secret').update(body).digest('hex')}`
          const headers = { 'content-type': 'application/json', 'x-hub-signature-256': signature }
          const { status } = await fetch(`${service.url}/webhooks/whatsapp`, { method: 'POST', body, headers })
          if (status !== 200) refused.push(status)
          await sleep(1_000 / RATE)
        }
      })()
      const ready = async () => {
        const response = await fetch(`${service.url}/readyz`)
        const { dependencies } = (await response.json()) as { dependencies: Record<string, { status: string }> }
        const wrong = Object.entries(dependencies).filter(([, { status }]) => status !== 'up')
        return { status: response.status, wrong: wrong.map(([of]) => of) }
      }
      await until(async () => (await ready()).wrong.length === 0, 30_000)
      for (const store of ['redis', 'clickhouse', 'postgres'] as const) {
        gates[store].shut()
        const began = Date.now()
        // Where ClickHouse's sink keeps its positions, it waits too.
        const wanted = store === 'postgres' ? ['clickhouse', 'postgres'] : [store]
        await until(
          async () => String((await ready()).wrong.sort()) === String(wanted),
          30_000,
          () => `${store} is told`,
        )
        expect((await ready()).status).toBe(store === 'postgres' ? 503 : 200)
        await sleep(Math.max(0, SECONDS * 1000 - (Date.now() - began)))
        await gates[store].open()
        await until(
          async () => (await ready()).wrong.length === 0,
          60_000,
          () => `${store} is back`,
        )
      }
      over = true
      await loading
      expect(refused).toEqual([])

      const rows = new pg.Client({ connectionString: urls.postgres })
      const redis = await connectRedis(urls.redis)
      const client = clickHouseClient(urls.clickhouse)
      closers.push(
        () => rows.end(),
        () => redis.disconnect(),
        () => client.close(),
      )
      await rows.connect()
      const mine = "direction = 'in'"
      await until(async () => (await rows.query(`SELECT 1 FROM messages WHERE ${mine}`)).rowCount === sent, 60_000)
      await until(async () => (await redis.keys('v1:conv:*')).length === sent, 60_000)
      const counted = () =>
        selectRows<{ n: string }>(client, "SELECT count() AS n FROM conversation_events WHERE kind = 'message_in'")
      await until(
        async () => Number((await counted())[0]?.n) === sent,
        60_000,
        () => `${sent} messages in ClickHouse`,
      )
      console.log(`${sent} messages, each store away for ${SECONDS} s`)
    } finally {
      for (const close of closers.reverse()) await close()
    }
  })
})

/** On one machine the schemas are in the log itself. */
if (process.env.BMA_TEST_LOG === 'kafka') {
  await describeWithStack('the schema registry away', ({ KAFKA_BROKERS, SCHEMA_REGISTRY_URL }) => {
    it('keeps only those waiting whose records newer code has written, and loses none', { timeout: 180_000 }, async () => {
      const closers: (() => unknown)[] = []
      try {
        const prefix = `registry-away-${randomUUID().slice(0, 8)}.`
        const gate = await openGate({ host: '127.0.0.1', port: Number(new URL(SCHEMA_REGISTRY_URL).port) })
        closers.push(() => gate.shut())
        const env = { KAFKA_PREFIX: prefix, SCHEMA_REGISTRY_URL: through(gate, SCHEMA_REGISTRY_URL) }
        const service = await startService({ env })
        closers.push(() => service.close())
        const registry = new ConfluentRegistry(SCHEMA_REGISTRY_URL)
        const codec = await Codec.open(registry, [conversationInbox])
        const log = await openKafkaLog({
          kafka: { brokers: KAFKA_BROKERS.split(','), prefix },
          topics: [conversationInbox],
          partitions: () => PARTITIONS,
        })
        closers.push(() => log.close())

        const [first, second] = await twoApart(service, () => messagesIn(log, codec))
        gate.shut()
        const newer = await newerForm(registry, first.message, { id: `wamid.${randomUUID()}`, text: NEWER })
        const { topic, partition, key } = first.record
        const at = { topic, partition, key: key as string }
        await log.append([{ ...at, value: newer.value, headers: { [RECORD_ID]: newer.id } }])
        const told = async () => (await service.get('/readyz', null)).body.dependencies.processors.detail as string
        const waits = new RegExp(`conversation\\.inbox/${partition}\\b.*schema`)
        await until(
          async () => waits.test(await told()),
          30_000,
          () => `the partition that waits is told (${service.output})`,
        )
        const texts = async (person: { from: string }) =>
          (await service.conversation(person)).messages.map((m: { text: string }) => m.text)
        await service.say(second.person, 'Is anybody there?')
        await service.say(second.person, 'And now?')
        expect(await texts(first.person)).not.toContain(NEWER)

        await gate.open()
        await until(
          async () => (await texts(first.person)).includes(NEWER),
          60_000,
          () => 'the message of newer code is in its conversation',
        )
        await until(async () => (await service.get('/readyz', null)).status === 200, 30_000)
        await service.say(first.person, 'Thank you')
      } finally {
        for (const close of closers.reverse()) await close()
      }
    })
  })
}

/** As the harness sets it. */
const PARTITIONS = 6
const NEWER = 'written by newer code'

interface Talk {
  readonly person: { from: string; name: string }
  readonly record: LogRecord
  readonly message: ChatMessage
}

/** People whose conversations are not on the same partition. */
async function twoApart(service: Service, messages: () => Promise<Omit<Talk, 'person'>[]>): Promise<[Talk, Talk]> {
  for (let n = 0; n < 20; n++) {
    const person = { from: String(66_730_000_000 + n), name: `Guest ${n}` }
    await service.say(person, 'Hello')
    const found = await messages()
    const [first] = found
    const other = found.find(({ record }) => record.partition !== first?.record.partition)
    if (first === undefined || other === undefined) continue
    const talk = (of: Omit<Talk, 'person'>) => ({
      ...of,
      person: { from: of.message.sender.id, name: of.message.sender.name ?? '' },
    })
    return [talk(first), talk(other)]
  }
  throw new Error('twenty conversations are on the same partition')
}

async function messagesIn(log: Awaited<ReturnType<typeof openKafkaLog>>, codec: Codec): Promise<Omit<Talk, 'person'>[]> {
  const found: Omit<Talk, 'person'>[] = []
  for (const { partition, low, high } of await log.ends(conversationInbox.name)) {
    for (let from = low; from < high; ) {
      const { records, next } = await log.read({ topic: conversationInbox.name, partition }, from, { wait: 5_000 })
      for (const record of records) {
        const decoded = record.value === null ? null : codec.decode(record.value)
        if (decoded?.type === 'ChatMessage') found.push({ record, message: decoded.value })
      }
      from = next
    }
  }
  return found
}

/** Another message like this, as code with a field more writes it. */
async function newerForm(registry: ConfluentRegistry, like: ChatMessage, message: Pick<ChatMessage, 'id' | 'text'>) {
  const subject = `newer-${randomUUID()}`
  const { text } = recordSchema('ChatMessage')
  await registry.register(subject, text)
  const schema = JSON.parse(text)
  schema.fields.push({ name: 'mood', type: 'string', default: '', doc: `Of ${subject}.` })
  const id = await registry.register(subject, JSON.stringify(schema))
  const head = Buffer.alloc(5)
  head.writeUInt32BE(id, 1)
  const type = avro.Type.forSchema(schema)
  return { id: message.id, value: Buffer.concat([head, type.toBuffer({ ...like, ...message, mood: 'cheerful' })]) }
}
