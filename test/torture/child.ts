/** A worker and a sink as a process of its own. It tells its assignments on standard output. */
import { join } from 'node:path'
import { NotDone, type Run } from '../../engine/actor.ts'
import { LmdbStores } from '../../engine/lmdb.ts'
import { Worker } from '../../engine/worker.ts'
import { openPool } from '../../sinks/postgres/pool.ts'
import { startPostgresSink } from '../../sinks/postgres/sink.ts'
import { alerts } from '../../topics/catalog.ts'
import { openKafkaLog } from '../../topics/kafka/log.ts'
import { codec, GROUP, partitionsOf, topics, tortured } from './actor.ts'

const [brokers, database, outside, folder] = process.argv.slice(2) as [string, string, string, string]
const onError = (what: string, error: unknown) => console.error(what, error instanceof Error ? error.message : error)

const perform = (effect: string) => async (input: object, run: Run) => {
  run.leave()
  const body = JSON.stringify({ attempt: run.attempt, key: run.key, effect, ...input })
  const answer = await fetch(outside, { method: 'POST', body, signal: run.signal }).catch(error => {
    if (error.cause?.code === 'ECONNREFUSED') throw new NotDone('nobody there')
    throw error
  })
  await answer.text()
  return input
}

const log = await openKafkaLog({
  kafka: { brokers: [brokers], requestTimeout: 2_000 },
  topics,
  partitions: partitionsOf,
  folder: join(folder, 'members'),
  sessionTimeout: 2_000,
  rebalanceTimeout: 3_000,
  transactionTimeout: 4_000,
  onError,
})
const stores = LmdbStores.open(join(folder, 'state'))
const pool = openPool({ url: database, log: { warn: () => {} }, name: 'sink' })
const silent = () => {}
const sink = await startPostgresSink({
  log,
  codec,
  pool,
  logger: { info: silent, warn: silent, error: silent },
  topics: [alerts],
  instance: folder.split('/').at(-1) as string,
})
const worker = new Worker({
  log,
  codec,
  actors: [tortured],
  ports: { trial: { once: perform('once'), again: perform('again') } } as never,
  group: GROUP,
  instance: folder.split('/').at(-1) as string,
  codeVersion: '1',
  openStore: async (actor, partition) => stores.store(actor, partition),
  onError,
  onAssigned: ({ generation, partitions }) =>
    console.log(JSON.stringify({ generation, partitions: partitions.map(p => p.partition) })),
})
await worker.start()

process.on('SIGTERM', async () => {
  await worker.stop()
  await sink.close()
  await log.close()
  await pool.end()
  await stores.close()
  process.exit(0)
})
