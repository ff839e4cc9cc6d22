/**
 * Workers as processes of their own on a real broker, under load and faults, several at a time, in an order that a seed gives. At
 * the end everything has to be there once: state, outputs, rows in Postgres.
 *
 *                   ┌▶ proxy (refuses, hangs, fails) ─▶ schema registry
 *   inputs ─▶ broker ◀─▶ proxy (loses, damages, refuses) ◀─▶ workers ─▶ outside
 *                └──────────────────────────────────────────▶ sinks ─▶ Postgres
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { migrate } from '../../sinks/postgres/migrate.ts'
import { openPool } from '../../sinks/postgres/pool.ts'
import { Codec } from '../../topics/codec.ts'
import { type KafkaLog, openKafkaLog } from '../../topics/kafka/log.ts'
import { ConfluentRegistry } from '../../topics/kafka/registry.ts'
import { check } from '../simulation/oracle.ts'
import { Random } from '../simulation/scheduler.ts'
import { trialInbox } from '../simulation/trial.ts'
import { freePort } from '../stack/server.ts'
import { startBroker } from '../stack/stack.ts'
import { type Done, GROUP, partitionsOf, topics, torturedActor } from './actor.ts'
import { inOwnIds } from './dialect.ts'
import { contentsOf, type Everything, holderOf, rowsWrong } from './evidence.ts'
import { injectAll, type Tally, type World } from './faults/fault.ts'
import { logFaults } from './faults/log.ts'
import { processFaults } from './faults/processes.ts'
import { diskFaults, registryFaults } from './faults/stores.ts'
import { Fleet, type FleetOptions } from './fleet.ts'
import { startLoad, startOutside } from './load.ts'
import { startProxy } from './proxy.ts'
import { NewerWriter, startRegistryProxy } from './registry.ts'
import { mountSmallDisk } from './small-disk.ts'
import { StallMeter } from './stalls.ts'

export interface TortureOptions {
  readonly seed: number
  readonly faults: number
  /** A Postgres server; a database of its own is made in it. */
  readonly databaseUrl: string
  readonly registryUrl: string
  readonly transactions?: FleetOptions['transactions']
  readonly say?: (line: string) => void
}

export interface TortureResult {
  /** By name: how often it was injected, and how often it had an effect. */
  readonly faults: Readonly<Record<string, Tally>>
  /** By fault: the longest stall of a partition that it does not affect, ms. */
  readonly stalls: Readonly<Record<string, number>>
  readonly answersLost: number
  readonly inputs: number
  readonly outputs: number
  readonly rows: number
  readonly effects: number
  readonly assignments: number
  /** Processes that ended by themselves, and were started again. */
  readonly ended: number
  readonly seconds: number
  readonly violations: readonly string[]
}

const SETTLE_MS = 120_000
const DISK_MB = 24

export async function torture(options: TortureOptions): Promise<TortureResult> {
  const { seed, faults, databaseUrl, registryUrl, transactions = 'by turns' } = options
  const random = new Random(seed)
  const began = performance.now()
  const say = (line: string) => options.say?.(`${((performance.now() - began) / 1000).toFixed(1)} s: ${line}`)
  const folder = mkdtempSync(join(tmpdir(), 'torture-'))
  const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  try {
    const proxiedPort = await freePort()
    const proxy = await startProxy(proxiedPort)
    closers.push(() => proxy.close())
    const broker = await startBroker({ folder: join(folder, 'kafka'), proxied: { port: proxiedPort, by: proxy.port } })
    closers.push(() => broker.server.kill())
    const database = await newDatabase(databaseUrl)
    closers.push(database.drop)
    const registry = await startRegistryProxy(registryUrl)
    closers.push(() => registry.close())
    const written = await Codec.open(new ConfluentRegistry(registryUrl), topics)
    const newer = new NewerWriter(registryUrl, `torture-${process.pid}-${Date.now()}`)
    const log = await openKafkaLog({
      kafka: { brokers: [broker.address], requestTimeout: 3_000 },
      topics,
      partitions: partitionsOf,
    })
    closers.push(() => log.close())
    const done: Done[] = []
    const outside = await startOutside(random, done)
    closers.push(outside.close)
    const brokers = `127.0.0.1:${proxy.port}`
    const fleet = new Fleet({
      folder,
      brokers,
      registry: registry.url,
      database: database.url,
      outside: outside.url,
      transactions,
      say,
    })
    const disk = mountSmallDisk(fleet.folder('two'), DISK_MB)
    if (disk !== null) closers.push(disk.unmount)
    closers.push(() => fleet.killAll())
    const machines = [fleet.add('one'), fleet.add('two')] as const
    await fleet.assigned()

    const load = startLoad(log, written, random)
    const world: World = { proxy, broker, fleet, log, load, registry, newer, machines, disk }
    const stalls = new StallMeter(log)
    const tallies = await injectAll({
      seed,
      count: faults,
      faults: [...logFaults(world), ...processFaults(world), ...registryFaults(world), ...diskFaults(world)],
      stalls,
      say,
    })
    const sent = await load.stop()
    const longest = await stalls.end()
    fleet.heal(machines)
    say('all is healed')

    const readable = inOwnIds(log, written)
    const until = Date.now() + SETTLE_MS
    let contents: Everything
    for (;;) {
      // To look at everything keeps this process from all else, and with it the proxy: heartbeats would wait.
      await calm(log, until)
      contents = await contentsOf(readable)
      const quick = check({ cluster: contents, done, sent, workers: [], quick: true, actor: torturedActor })
      if (quick.length === 0 && (await rowsWrong(database.pool, contents)).length === 0) break
      if (Date.now() > until) break
    }
    const violations = check({ cluster: contents, done, sent, workers: [holderOf(contents)], quick: false, actor: torturedActor })
    violations.push(...(await rowsWrong(database.pool, contents)))
    return {
      faults: Object.fromEntries(tallies),
      stalls: Object.fromEntries(longest),
      answersLost: proxy.lost,
      inputs: sent.size,
      outputs: contents.count('trial.outputs'),
      rows: contents.count('alerts'),
      effects: done.length,
      assignments: fleet.assignments,
      ended: fleet.ended,
      seconds: (performance.now() - began) / 1000,
      violations: violations.length === 0 ? [] : [...shortened(violations), ...fleet.halted(), ...fleet.lastWords()],
    }
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

/** Longer than a timer or a judgement may be ahead, ms. */
const CALM_MS = 8_000

/** Waits until all of the inbox is handled, and nothing has come for a while; not past this time. */
async function calm(log: KafkaLog, until: number): Promise<void> {
  let last = ''
  for (let since = Date.now(); Date.now() < until && Date.now() - since < CALM_MS; await sleep(500)) {
    const [offsets, ends] = await Promise.all([log.groupOffsets(GROUP), log.ends(trialInbox.name)])
    const handled = ends.every(({ partition, high }) =>
      offsets.some(o => o.topic === trialInbox.name && o.partition === partition && o.offset >= high),
    )
    const now = handled ? JSON.stringify(ends) : ''
    if (now === '' || now !== last) since = Date.now()
    last = now
  }
}

const SHOWN = 20

function shortened(violations: readonly string[]): string[] {
  return violations.length <= SHOWN ? [...violations] : [...violations.slice(0, SHOWN), `and ${violations.length - SHOWN} more`]
}

async function newDatabase(server: string): Promise<{ url: string; pool: pg.Pool; drop(): Promise<void> }> {
  const name = `torture_${process.pid}_${Date.now()}`
  const ask = async (sql: string) => {
    const client = new pg.Client({ connectionString: server })
    await client.connect()
    await client.query(sql).finally(() => client.end())
  }
  await ask(`CREATE DATABASE ${name}`)
  const url = new URL(server)
  url.pathname = name
  const pool = openPool({ url: url.href, log: { warn: () => {} }, name: 'oracle' })
  await migrate(pool)
  return {
    url: url.href,
    pool,
    drop: async () => {
      await pool.end()
      await ask(`DROP DATABASE ${name} WITH (FORCE)`)
    },
  }
}
