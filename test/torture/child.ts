/**
 * A worker and a sink as a process of its own. On standard output it tells its assignments, and whenever one of its tasks stops,
 * waits or goes on. By SIGTERM it ends in order.
 */
import { join } from 'node:path'
import { NotDone, type Run } from '../../engine/actor.ts'
import { LmdbStores } from '../../engine/lmdb.ts'
import { Worker } from '../../engine/worker.ts'
import { openPool } from '../../sinks/postgres/pool.ts'
import { startPostgresSink } from '../../sinks/postgres/sink.ts'
import { alerts } from '../../topics/catalog.ts'
import { Codec } from '../../topics/codec.ts'
import { openKafkaLog } from '../../topics/kafka/log.ts'
import { ConfluentRegistry } from '../../topics/kafka/registry.ts'
import type { TransactionVersion } from '../../topics/kafka/transaction-protocol.ts'
import { GROUP, partitionsOf, topics, torturedActor } from './actor.ts'

/** What a child is told. */
export interface ChildSettings {
  readonly instance: string
  readonly folder: string
  readonly brokers: string
  readonly registry: string
  readonly database: string
  readonly outside: string
  /** Which boot of the machine it is; null: this one. */
  readonly boot: string | null
  /** How its transactions go. */
  readonly transactions: TransactionVersion
}

/** What it tells, a line of JSON each. */
export interface ChildNews {
  readonly generation?: number
  /** Tasks that do not go on, with the cause. */
  readonly halted?: Readonly<Record<number, string>>
  readonly failing?: string | null
}

const LOOK_MS = 200

const settings = JSON.parse(process.argv[2] as string) as ChildSettings
const { instance, folder } = settings
const onError = (what: string, error: unknown) => console.error(what, error instanceof Error ? error.message : error)
const tell = (news: ChildNews) => console.log(JSON.stringify(news))

const perform = (effect: string) => async (input: object, run: Run) => {
  run.beforeSend()
  const body = JSON.stringify({ attempt: run.attempt, key: run.key, effect, ...input })
  const answer = await fetch(settings.outside, { method: 'POST', body, signal: run.signal }).catch(error => {
    if (error.cause?.code === 'ECONNREFUSED') throw new NotDone('nobody there')
    throw error
  })
  await answer.text()
  return input
}

const log = await openKafkaLog({
  kafka: { brokers: [settings.brokers], requestTimeout: 2_000 },
  topics,
  partitions: partitionsOf,
  folder: join(folder, 'members'),
  sessionTimeout: 2_000,
  rebalanceTimeout: 3_000,
  transactionTimeout: 4_000,
  transactionVersion: settings.transactions,
  onError,
})
const codec = await Codec.open(new ConfluentRegistry(settings.registry), topics)
const stores = LmdbStores.open(join(folder, 'state'), settings.boot ?? undefined)
const pool = openPool({ url: settings.database, log: { warn: () => {} }, name: 'sink' })
const silent = () => {}
const sink = await startPostgresSink({
  log,
  codec,
  pool,
  logger: { info: silent, warn: silent, error: silent },
  topics: [alerts],
  instance,
})
const worker = new Worker({
  log,
  codec,
  actors: [torturedActor],
  ports: { trial: { once: perform('once'), again: perform('again'), bulk: perform('bulk') } } as never,
  group: GROUP,
  instance,
  codeVersion: '1',
  openStore: async (actor, partition) => stores.store(actor, partition),
  stores,
  onError,
  onAssigned: ({ generation }) => tell({ generation }),
})
await worker.start()

let last = ''
setInterval(() => {
  const { tasks, failing } = worker.status()
  const halts = tasks.filter(t => t.stopped !== null || t.waits !== null)
  const halted = Object.fromEntries(
    halts.map(t => [t.partition, t.stopped === null ? `waits: ${t.waits}` : `stopped: ${t.stopped}`]),
  )
  const news = JSON.stringify({ halted, failing })
  if (news !== last) console.log(news)
  last = news
}, LOOK_MS).unref()

process.on('SIGTERM', async () => {
  await worker.stop()
  await sink.close()
  await log.close()
  await pool.end()
  await stores.close()
  process.exit(0)
})
