/**
 * The whole service on a real broker with every sink, at a steady rate of strangers who each say hello once:
 *
 *   npm run bench -- kafka-service --rates 40,100 --seconds 30 --transactions 2
 *
 * What a message costs: transactions, requests to the broker, records; the processors by process; and how long a reply takes. With
 * `--transactions 1` the cluster is one that has not agreed on the way of Kafka 4.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { configFrom } from '../../config.ts'
import { serviceTopics } from '../../service/actors.ts'
import { type Service, startService } from '../../test/service/harness.ts'
import { type Stack, startStack } from '../../test/stack/stack.ts'
import { partitionsOnCluster } from '../../topics/catalog.ts'
import { type KafkaLog, openKafkaLog } from '../../topics/kafka/log.ts'
import { type Latencies, write, startProvider } from '../turn.ts'

export interface ServiceOptions {
  readonly rates: readonly number[]
  readonly seconds: number
  readonly transactions: 1 | 2
}

/** @throws for an option that there is not */
export function serviceOptions(args: readonly string[]): ServiceOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rates: { type: 'string', default: '40,100' },
      seconds: { type: 'string', default: '30' },
      transactions: { type: 'string', default: '2' },
    },
  })
  const rates = values.rates.split(',').map(Number)
  return { rates, seconds: Number(values.seconds), transactions: values.transactions === '1' ? 1 : 2 }
}

const PARTITIONS = 12
const WARM_UP_SECONDS = 5
/** A backlog is waited for. */
const REPLIES_MS = 180_000

export async function benchService(
  { rates, seconds, transactions }: ServiceOptions,
  print: (line: string) => void,
): Promise<void> {
  print(`the whole service on one real broker with every sink, transactions of version ${transactions}, ${seconds} s each`)
  for (const rate of rates) {
    const stack = await startStack({ features: { 'transaction.version': transactions } })
    try {
      await measure(stack, rate, seconds, print)
    } finally {
      await stack.stop()
    }
  }
}

async function measure(stack: Stack, rate: number, seconds: number, print: (line: string) => void): Promise<void> {
  const prefix = 'bench.'
  const topics = serviceTopics(configFrom({}))
  const provider = await startProvider()
  const env = { ...stack.env, KAFKA_PREFIX: prefix, KAFKA_PARTITIONS: String(PARTITIONS) }
  const service = await startService({ env: { ...env, WHATSAPP_API_URL: provider.url, LOG_LEVEL: 'error' } })
  const log = await openKafkaLog({
    kafka: { brokers: [stack.env.KAFKA_BROKERS as string], prefix },
    topics,
    partitions: topic => partitionsOnCluster(topic, PARTITIONS),
  })
  try {
    const webhooks = `${service.url}/webhooks/whatsapp`
    await write(webhooks, provider, { messages: 1, warmUp: rate * WARM_UP_SECONDS, perSecond: rate, ms: REPLIES_MS })
    const before = await snapshot(stack, service, log)
    const messages = rate * seconds
    const latencies = await write(webhooks, provider, { messages, warmUp: 0, perSecond: rate, ms: REPLIES_MS })
    const after = await snapshot(stack, service, log)
    const records = new Map<string, number>()
    for (const topic of after.ends.keys()) records.set(topic, await recordsOf(log, topic, before, after))
    tell(rate, messages, latencies, before, after, records, print)
  } finally {
    await log.close()
    await service.close()
    await provider.close()
  }
}

interface Snapshot {
  readonly at: number
  /** By kind. */
  readonly requests: ReadonlyMap<string, number>
  /** Seconds by process. */
  readonly cpu: Readonly<Record<string, number>>
  /** By topic, those of its partitions. */
  readonly ends: ReadonlyMap<string, readonly number[]>
}

async function snapshot(stack: Stack, service: Service, log: KafkaLog): Promise<Snapshot> {
  const metrics = await (await fetch(`${service.url}/metrics`)).text()
  const counted = [...metrics.matchAll(/^app_log_requests_total\{request="([^"]+)"\} (\d+)/gm)]
  const requests = new Map(counted.map(([, kind, n]) => [kind as string, Number(n)]))
  const ends = new Map<string, number[]>()
  for (const { name } of serviceTopics(configFrom({})))
    ends.set(
      name,
      (await log.ends(name)).map(({ high }) => high),
    )
  const own = process.cpuUsage()
  const { kafka, postgres, redis } = stack.pids as Record<string, number>
  const cpu = {
    broker: cpuOf(kafka as number),
    service: cpuOf(service.pid),
    Postgres: withChildren(postgres as number),
    ClickHouse: withChildren(service.pid) - cpuOf(service.pid),
    Redis: cpuOf(redis as number),
    load: (own.user + own.system) / 1e6,
  }
  return { at: performance.now(), requests, cpu, ends }
}

/** Records between two snapshots, without the markers of transactions. */
async function recordsOf(log: KafkaLog, topic: string, before: Snapshot, after: Snapshot): Promise<number> {
  let count = 0
  for (const [partition, end] of (after.ends.get(topic) ?? []).entries()) {
    for (let next = before.ends.get(topic)?.[partition] ?? 0; next < end; ) {
      const read = await log.read({ topic, partition }, next, { wait: 1_000 })
      count += read.records.filter(({ offset }) => offset < end).length
      if (read.next <= next) break
      next = read.next
    }
  }
  return count
}

function tell(
  rate: number,
  messages: number,
  { p50, p99, max }: Latencies,
  before: Snapshot,
  after: Snapshot,
  records: ReadonlyMap<string, number>,
  print: (line: string) => void,
): void {
  const requests = new Map([...after.requests].map(([kind, n]) => [kind, n - (before.requests.get(kind) ?? 0)]))
  const seconds = (after.at - before.at) / 1000
  const transactions = [...requests].reduce((sum, [kind, n]) => sum + (kind.startsWith('EndTxn ') ? n : 0), 0)
  const cores = Object.entries(after.cpu).map(
    ([name, used]) => `${name} ${((used - (before.cpu[name] ?? 0)) / seconds).toFixed(2)}`,
  )
  print(
    `  ${rate} messages/s, ${messages} in ${seconds.toFixed(1)} s: reply p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, max ${max.toFixed(0)} ms`,
  )
  print(`    a message: ${(transactions / messages).toFixed(2)} transactions (${(transactions / seconds).toFixed(0)}/s)`)
  print(`    requests to the broker: ${shares(requests, messages)}`)
  print(`    records: ${shares(records, messages)}`)
  print(`    cores: ${cores.join(', ')}`)
}

/** The sum for each message, and those of its parts that count. */
function shares(counts: ReadonlyMap<string, number>, messages: number): string {
  const sum = [...counts.values()].reduce((total, n) => total + n, 0)
  const parts = [...counts].filter(([, n]) => n >= messages / 20).sort(([, a], [, b]) => b - a)
  return `${(sum / messages).toFixed(1)} (${parts.map(([name, n]) => `${name} ${(n / messages).toFixed(2)}`).join(', ')})`
}

/** User and system seconds of a process so far. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** The same with that of its children, also of those that have ended meanwhile. */
function withChildren(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
  const living = children.reduce((sum, child) => sum + withChildren(Number(child)), 0)
  return cpuOf(pid) + (Number(fields[13]) + Number(fields[14])) / 100 + living
}
