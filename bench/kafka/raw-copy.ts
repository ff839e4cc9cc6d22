/**
 * The floor: a transactional copy of the input to the output, with no state. `MODE=kafkajs` is plain kafkajs, one producer for
 * all partitions, a transaction for what has come; `MODE=driver` is the same on this project's own driver, without the engine.
 */
import { defineTopic } from '../../topics/catalog.ts'
import { Kafka, logLevel } from '../../topics/kafka/hardening.ts'
import { openKafkaLog } from '../../topics/kafka/log.ts'
import { type Assignment, partitionKey, type Position } from '../../topics/log.ts'

const { env } = process
const brokers = (env.KAFKA_BROKERS ?? '').split(',')
const [input, output, app] = [env.BENCH_INPUT, env.BENCH_OUTPUT, env.BENCH_APP_ID] as [string, string, string]
const partitions = Number(env.BENCH_PARTITIONS)
const MAX = 30_000

async function withDriver(): Promise<void> {
  const topics = [input, output].map(name => defineTopic(name, 'key', [], { partitions }))
  const log = await openKafkaLog({ kafka: { brokers }, topics, onError: console.error })
  const given = Promise.withResolvers<Assignment>()
  const revoked = async () => {}
  const membership = await log.join({ group: app, instance: 'copy', topics: [input], revoked, assigned: given.resolve })
  const assignment = await given.promise
  await membership.fence()
  for (const partition of assignment.partitions) membership.start({ ...partition, offset: 0 })
  for (;;) {
    const records = (await membership.poll({ max: MAX, wait: 1_000 })).flatMap(range => range.records)
    if (records.length === 0) continue
    const transaction = membership.begin(assignment)
    const next = new Map<string, Position>()
    for (const { key, value, partition, offset } of records) {
      transaction.append({ topic: output, partition, key, value })
      next.set(partitionKey({ topic: input, partition }), { topic: input, partition, offset: offset + 1 })
    }
    transaction.offsets([...next.values()])
    await transaction.commit()
  }
}

async function withKafkajs(): Promise<void> {
  const retry = { initialRetryTime: 2, retries: 12 }
  const kafka = new Kafka({ brokers, logLevel: logLevel.ERROR, retry })
  const producer = kafka.producer({ transactionalId: `${app}.copy`, maxInFlightRequests: 1, retry })
  await producer.connect()
  const queue: { partition: number; messages: { key: Buffer | null; value: Buffer | null }[]; next: string }[] = []
  let queued = 0
  let wake: () => void = () => {}
  const consumer = kafka.consumer({ groupId: app, maxWaitTimeInMs: 100, retry })
  await consumer.connect()
  await consumer.subscribe({ topic: input, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    partitionsConsumedConcurrently: partitions,
    eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
      while (queued > 2 * MAX) await new Promise(resolve => setTimeout(resolve, 5))
      const messages = batch.messages.map(({ key, value }) => ({ key, value, partition: batch.partition }))
      // One record batch for each partition and send, of less than 1 MB.
      for (let i = 0; i < messages.length; i += 3_000) {
        const part = messages.slice(i, i + 3_000)
        const last = i + 3_000 >= messages.length ? batch.lastOffset() : batch.messages[i + 2_999]?.offset
        queue.push({ partition: batch.partition, messages: part, next: String(BigInt(last as string) + 1n) })
        queued += part.length
      }
      resolveOffset(batch.lastOffset())
      await heartbeat()
      wake()
    },
  })
  for (;;) {
    if (queue.length === 0) {
      await new Promise<void>(resolve => {
        wake = resolve
      })
      continue
    }
    const transaction = await producer.transaction()
    const offsets = new Map<number, string>()
    let count = 0
    while (queue.length > 0 && count < MAX) {
      // One batch of each partition in a send.
      const now = new Set<number>()
      const sending: { key: Buffer | null; value: Buffer | null }[] = []
      for (let i = 0; i < queue.length && now.size < partitions; ) {
        const first = queue[i] as (typeof queue)[number]
        if (now.has(first.partition)) {
          i++
          continue
        }
        now.add(first.partition)
        queue.splice(i, 1)
        sending.push(...first.messages)
        offsets.set(first.partition, first.next)
        count += first.messages.length
        queued -= first.messages.length
      }
      await transaction.sendBatch({ acks: -1, topicMessages: [{ topic: output, messages: sending }] })
    }
    const committed = [...offsets].map(([partition, offset]) => ({ partition, offset }))
    await transaction.sendOffsets({ consumerGroupId: app, topics: [{ topic: input, partitions: committed }] })
    await transaction.commit()
  }
}

process.on('SIGTERM', () => process.exit(0))
await (env.MODE === 'driver' ? withDriver() : withKafkajs())
