import type { Producer } from 'kafkajs'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { join, newGroup, newTopic, readAll, texts } from '../../test/conformance/harness.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import { Kafka, logLevel } from './hardening.ts'
import { type KafkaLog, openKafkaLog } from './log.ts'

vi.setConfig({ testTimeout: 30_000 })

/** Looks like the marker of an abort. */
const FOUR_ZEROS = '\0\0\0\0'

/** What producers do to one partition. */
interface Story {
  readonly name: string
  /** Steps: `a:text` sends within the transaction of producer a, `a!` aborts it, `a.` commits it. */
  readonly steps: readonly string[]
  readonly key?: string
  /** Where reading begins. */
  readonly from?: number
  readonly committed: readonly string[]
  /** What kafkajs's own consumer gives besides. */
  readonly leaks: readonly string[]
}

const STORIES: readonly Story[] = [
  {
    name: 'two producers overlap, and the later one aborts first',
    steps: ['a:1', 'b:2', 'b!', 'a:3', 'a!', 'a:end', 'a.'],
    committed: ['end'],
    leaks: ['1'],
  },
  {
    name: 'reading begins inside two transactions that were aborted',
    steps: ['a:1', 'b:2', 'b:3', 'a:4', 'a!', 'b!', 'a:end', 'a.'],
    from: 2,
    committed: ['end'],
    leaks: ['3'],
  },
  {
    name: 'one producer aborts several transactions in a row',
    steps: ['a:1', 'a!', 'a:2', 'a:3', 'a!', 'a:4', 'a.', 'a:5', 'a!', 'a:end', 'a.'],
    committed: ['4', 'end'],
    leaks: [],
  },
  {
    name: 'a key in an aborted transaction looks like the marker of an abort',
    steps: ['a:1', 'a:2', 'a!', 'a:end', 'a.'],
    key: FOUR_ZEROS,
    committed: ['end'],
    leaks: ['1', '2'],
  },
  {
    name: 'three producers take turns',
    steps: ['a:1', 'b:2', 'c:3', 'a:4', 'c!', 'b:5', 'c:6', 'a!', 'b.', 'a:7', 'c!', 'a!', 'c:end', 'c.'],
    committed: ['2', '5', 'end'],
    leaks: ['1'],
  },
]

await describeWithStack('aborted transactions on a real broker', ({ KAFKA_BROKERS }) => {
  const brokers = KAFKA_BROKERS?.split(',') ?? []
  const topics = STORIES.map(() => newTopic({ partitions: 1 }))
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 5 } })
  const producers = new Map<string, Producer>()
  let log: KafkaLog

  beforeAll(async () => {
    log = await openKafkaLog({ kafka: { brokers }, topics })
    for (const name of ['a', 'b', 'c']) {
      const producer = kafka.producer({ transactionalId: newGroup(), maxInFlightRequests: 1 })
      await producer.connect()
      producers.set(name, producer)
    }
  })
  afterAll(async () => {
    await log?.close()
    for (const producer of producers.values()) await producer.disconnect()
  })

  for (const [i, { name, steps, key = 'k', from = 0, committed, leaks }] of STORIES.entries()) {
    const topic = topics[i]!

    it(`are not visible when ${name}`, async () => {
      await play(producers, topic.name, steps, key)
      const wanted = [...committed]
      expect(texts(await readAll(log, topic))).toEqual(wanted)
      const at = { topic: topic.name, partition: 0 }
      const once = await log.read(at, from, { wait: 5_000 })
      expect(texts(once.records)).toEqual(wanted)
      expect(texts((await log.read(at, from, { maxBytes: 64 * 1024 })).records)).toEqual(wanted)

      const { membership, take } = await join(log, newGroup(), topic)
      membership.start({ ...at, offset: from })
      expect(texts(await take(wanted.length))).toEqual(wanted)
      expect(await membership.poll({ max: 10, wait: 20 })).toEqual([])
      await membership.leave()

      // Why the log has a filter of its own.
      const plain = await plainlyConsumed(kafka, topic.name, from)
      expect(plain.toSorted()).toEqual([...committed, ...leaks].toSorted())
    })
  }
})

async function play(producers: ReadonlyMap<string, Producer>, topic: string, steps: readonly string[], key: string) {
  const open = new Map<string, Awaited<ReturnType<Producer['transaction']>>>()
  for (const step of steps) {
    const who = step[0] as string
    const transaction = open.get(who) ?? (await producers.get(who)!.transaction())
    open.set(who, transaction)
    if (step[1] === ':') await transaction.send({ topic, messages: [{ key, value: step.slice(2), partition: 0 }] })
    else {
      await (step[1] === '!' ? transaction.abort() : transaction.commit())
      open.delete(who)
    }
  }
}

/** All that kafkajs's own consumer reads, up to the record "end". */
async function plainlyConsumed(kafka: InstanceType<typeof Kafka>, topic: string, from: number): Promise<string[]> {
  const consumer = kafka.consumer({ groupId: newGroup(), maxWaitTimeInMs: 100 })
  // Before its first fetch.
  consumer.on(consumer.events.GROUP_JOIN, () => consumer.seek({ topic, partition: 0, offset: `${from}` }))
  const values: string[] = []
  const ended = Promise.withResolvers<void>()
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      eachMessage: async ({ message }) => {
        values.push(`${message.value}`)
        if (values.at(-1) === 'end') ended.resolve()
      },
    })
    await ended.promise
  } finally {
    await consumer.disconnect()
  }
  return values
}
