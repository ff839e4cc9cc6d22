/**
 * The worker as a contestant beside other stream processors on one broker: raw records in and out, one keyed actor (or a chain
 * of three), state in LMDB, changelog, exactly once. Everything but the layout of the records is what the service runs on.
 *
 *   KAFKA_BROKERS · BENCH_INPUT · BENCH_OUTPUT · BENCH_PARTITIONS · BENCH_APP_ID (group, topics and ids begin with it)
 *   BENCH_STATE_DIR · BENCH_STATE_BYTES · BENCH_CHAIN (four topics: every record goes from each to the next)
 *   BENCH_TRANSACTIONS (1: the older way, whatever the broker knows) · BENCH_CACHE_MB (memory for decoded actors, 64)
 *
 * The topics need message.timestamp.type=LogAppendTime, which may be the broker's default.
 *
 * It runs until SIGTERM.
 */
import { join } from 'node:path'
import { type ActorDefinition, actor } from '../../engine/actor.ts'
import { CacheBudget } from '../../engine/generational-cache.ts'
import { LmdbStores } from '../../engine/lmdb.ts'
import { Worker } from '../../engine/worker.ts'
import { changelog, deadLetters, defineTopic, type Topic } from '../../topics/catalog.ts'
import { MemoryRegistry } from '../../topics/codec.ts'
import { openKafkaLog } from '../../topics/kafka/log.ts'
import { step } from './keyed-step.ts'
import { openRawCodec } from './raw-codec.ts'

const { env } = process
const setting = (name: string) => {
  const value = env[name]
  if (value === undefined || value === '') throw new Error(`${name} is not set`)
  return value
}
const app = setting('BENCH_APP_ID')
const folder = setting('BENCH_STATE_DIR')
const partitions = Number(setting('BENCH_PARTITIONS'))
const stateBytes = Number(env.BENCH_STATE_BYTES ?? 496)
const cache = new CacheBudget(Number(env.BENCH_CACHE_MB ?? 64) * 1024 * 1024)
const chain = env.BENCH_CHAIN?.split(',') ?? []

const raw = (name: string) => defineTopic(name, 'key', ['TrialBytes'], { partitions })

function keyed(from: Topic<'TrialBytes'>, to: Topic<'TrialBytes'>): ActorDefinition {
  return actor({
    name: app,
    inbox: from,
    state: 'TrialBytes',
    on: {
      TrialBytes: (state, { payload }, context) => {
        const { next, out } = step(state?.payload ?? null, payload, stateBytes)
        context.emit(to, context.key, 'TrialBytes', { payload: out })
        return { payload: next }
      },
    },
    emits: [to],
  }) as unknown as ActorDefinition
}

function hop(n: number, from: Topic<'TrialBytes'>, to: Topic<'TrialBytes'>): ActorDefinition {
  return actor({
    name: `${app}-hop${n}`,
    inbox: from,
    state: 'TrialBytes',
    on: {
      TrialBytes: (_, record, context) => {
        context.emit(to, context.key, 'TrialBytes', record)
        return null
      },
    },
    emits: [to],
  }) as unknown as ActorDefinition
}

const places = (chain.length > 0 ? chain : [setting('BENCH_INPUT'), setting('BENCH_OUTPUT')]).map(raw)
const actors =
  chain.length > 0
    ? places.slice(1).map((to, i) => hop(i + 1, places[i] as Topic<'TrialBytes'>, to))
    : [keyed(places[0] as Topic<'TrialBytes'>, places[1] as Topic<'TrialBytes'>)]
// A letter would be a failure here: what is checked are the outputs.
const topics = [...places, ...actors.map(a => changelog(a.name, a.inbox)), { ...deadLetters, name: `${app}.dead.letters` }]
const log = await openKafkaLog({
  kafka: { brokers: setting('KAFKA_BROKERS').split(',') },
  topics,
  folder: join(folder, 'members'),
  transactionVersion: env.BENCH_TRANSACTIONS === '1' ? 1 : null,
  onError: (what, error) => console.error(what, error),
})
const codec = await openRawCodec(new MemoryRegistry(), topics)
const stores = LmdbStores.open(join(folder, 'state'))
const sizes: number[] = []
const commits: number[] = []
// Hops of their own workers, so that one need not wait for another's commit; a service has a worker for each of its roles.
const workers = actors.map(
  (one, i) =>
    new Worker({
      log,
      codec,
      actors: [one],
      ports: {},
      cache,
      group: actors.length === 1 ? app : `${app}-${i}`,
      instance: env.BENCH_INSTANCE_ID ?? 'one',
      codeVersion: 'bench',
      openStore: async (name, partition) => stores.store(name, partition),
      onCommit: (records, ms) => {
        sizes.push(records)
        commits.push(ms)
      },
      onError: (what, error) => console.error(what, error),
    }),
)
for (const worker of workers) await worker.start()

process.on('SIGTERM', async () => {
  for (const worker of workers) await worker.stop()
  await log.close()
  await stores.close()
  const records = sizes.reduce((sum, n) => sum + n, 0)
  commits.sort((a, b) => a - b)
  const at = (share: number) => commits[Math.floor((commits.length - 1) * share)] ?? 0
  console.log(`BENCH ${JSON.stringify({ transactions: sizes.length, records, commit: { p50: at(0.5), p99: at(0.99) } })}`)
  process.exit(0)
})
