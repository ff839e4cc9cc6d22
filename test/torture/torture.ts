/**
 * Workers as processes of their own on a real broker, under load and one fault after the other, in an order that a seed gives.
 * At the end everything has to be there once: state, outputs, rows in Postgres.
 *
 *   inputs ─▶ broker ◀─▶ proxy (loses answers, holds requests) ◀─▶ workers ─▶ outside
 *                └──────────────────────────────────────────────▶ sink ─▶ Postgres
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { RECORD_ID } from '../../engine/headers.ts'
import { migrate } from '../../sinks/postgres/migrate.ts'
import { openPool } from '../../sinks/postgres/pool.ts'
import { kafkaOf } from '../../topics/kafka/client.ts'
import { type KafkaLog, openKafkaLog } from '../../topics/kafka/log.ts'
import { Random } from '../simulation/scheduler.ts'
import { check } from '../simulation/oracle.ts'
import { trialInbox } from '../simulation/trial.ts'
import type { Done } from '../simulation/world.ts'
import { freePort } from '../stack/server.ts'
import { type Broker, startBroker } from '../stack/stack.ts'
import { codec, GROUP, partitionsOf, topics, tortured } from './actor.ts'
import { contentsOf, holderOf, rowsWrong } from './evidence.ts'
import { type ApiName, type BrokerProxy, startProxy } from './proxy.ts'

export interface TortureOptions {
  readonly seed: number
  readonly faults: number
  /** A Postgres server; a database of its own is made in it. */
  readonly databaseUrl: string
  readonly say?: (line: string) => void
}

export interface TortureResult {
  readonly faults: Readonly<Record<string, number>>
  readonly answersLost: number
  readonly inputs: number
  readonly outputs: number
  readonly rows: number
  readonly effects: number
  readonly assignments: number
  readonly seconds: number
  readonly violations: readonly string[]
}

const KEYS = 60
/** Poison stops a task where it strikes many keys. */
const POISONED_KEYS = 8
const SESSION_MS = 2_000
const SETTLE_MS = 120_000
const LOSABLE: readonly ApiName[] = [
  'Produce',
  'AddPartitionsToTxn',
  'AddOffsetsToTxn',
  'TxnOffsetCommit',
  'EndTxn',
  'Fetch',
  'JoinGroup',
  'SyncGroup',
  'Heartbeat',
  'InitProducerId',
  'OffsetFetch',
]

interface Machine {
  readonly name: string
  child: ChildProcess | null
}

export async function torture({ seed, faults, databaseUrl, say = () => {} }: TortureOptions): Promise<TortureResult> {
  const random = new Random(seed)
  const began = performance.now()
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
    const log = await openKafkaLog({
      kafka: { brokers: [broker.address], requestTimeout: 3_000 },
      topics,
      partitions: partitionsOf,
    })
    closers.push(() => log.close())
    const done: Done[] = []
    const outside = await startOutside(random, done)
    closers.push(outside.close)
    const fleet = new Fleet({ folder, brokers: `127.0.0.1:${proxy.port}`, database: database.url, outside: outside.url, say })
    closers.push(() => fleet.killAll())
    const [first, second] = [fleet.add('one'), fleet.add('two')]
    await fleet.assigned()

    const load = startLoad(log, random)
    const counts: Record<string, number> = {}
    const troubles = troublesOf({ random, proxy, broker, fleet, log, machines: [first, second] })
    for (let n = 1; n <= faults; n++) {
      const [name, strike] = random.pick(troubles)
      counts[name] = (counts[name] ?? 0) + 1
      say(`${Math.round((performance.now() - began) / 1000)} s: fault ${n}, ${name}`)
      await strike()
      await sleep(200 + random.below(1_500))
    }
    const sent = await load.stop()
    fleet.heal([first, second])

    const settled = async () => {
      const contents = await contentsOf(log)
      const quick = check({ cluster: contents, done, sent, workers: [], quick: true, actor: tortured })
      return { contents, quiet: quick.length === 0 && (await rowsWrong(database.pool, contents)).length === 0, quick }
    }
    const until = Date.now() + SETTLE_MS
    let last = await settled()
    while (!last.quiet && Date.now() < until) {
      await sleep(2_000)
      last = await settled()
    }
    const { contents } = last
    const violations = check({ cluster: contents, done, sent, workers: [holderOf(contents)], quick: false, actor: tortured })
    violations.push(...(await rowsWrong(database.pool, contents)))
    return {
      faults: counts,
      answersLost: proxy.lost,
      inputs: sent.size,
      outputs: contents.count('trial.outputs'),
      rows: contents.count('alerts'),
      effects: done.length,
      assignments: fleet.assignments,
      seconds: (performance.now() - began) / 1000,
      violations: violations.length === 0 ? [] : [...violations.slice(0, 20), ...fleet.lastWords()],
    }
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

/** Worker processes. */
class Fleet {
  readonly #options: { folder: string; brokers: string; database: string; outside: string; say: (line: string) => void }
  readonly #machines: Machine[] = []
  readonly #words: string[] = []
  #assignments = 0
  /** Newest generation that any of them was given. */
  #generation = 0

  constructor(options: { folder: string; brokers: string; database: string; outside: string; say: (line: string) => void }) {
    this.#options = options
  }

  get assignments(): number {
    return this.#assignments
  }

  add(name: string): Machine {
    const machine: Machine = { name, child: null }
    this.#machines.push(machine)
    this.boot(machine)
    return machine
  }

  boot(machine: Machine): void {
    const { folder, brokers, database, outside, say } = this.#options
    const own = join(folder, machine.name)
    mkdirSync(own, { recursive: true })
    const child = spawn(process.execPath, [join(import.meta.dirname, 'child.ts'), brokers, database, outside, own], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    machine.child = child
    child.stdout?.on('data', data => {
      for (const line of String(data).split('\n').filter(Boolean)) {
        this.#assignments++
        try {
          this.#generation = Math.max(this.#generation, JSON.parse(line).generation)
        } catch {}
      }
    })
    child.stderr?.on('data', data => {
      this.#words.push(`${machine.name}: ${String(data).trim()}`)
      if (this.#words.length > 40) this.#words.shift()
    })
    child.once('exit', (code, signal) => {
      if (machine.child !== child || signal === 'SIGKILL') return
      say(`${machine.name} ended with ${code ?? signal}: ${this.#words.at(-1)}`)
      machine.child = null
    })
  }

  async kill(machine: Machine): Promise<void> {
    await end(machine, 'SIGKILL')
  }

  async stop(machine: Machine): Promise<void> {
    await end(machine, 'SIGTERM')
  }

  signal(machine: Machine, signal: NodeJS.Signals): void {
    machine.child?.kill(signal)
  }

  async assigned(): Promise<void> {
    await this.nextGeneration(0, 60_000)
  }

  get generation(): number {
    return this.#generation
  }

  /** Waits for a newer generation than this. */
  async nextGeneration(than: number, ms: number): Promise<void> {
    for (const until = Date.now() + ms; this.#generation <= than && Date.now() < until; ) await sleep(20)
  }

  /** Every one of these runs. */
  heal(machines: readonly Machine[]): void {
    for (const machine of machines) {
      this.signal(machine, 'SIGCONT')
      if (machine.child === null || machine.child.exitCode !== null) this.boot(machine)
    }
  }

  async killAll(): Promise<void> {
    for (const machine of this.#machines) {
      this.signal(machine, 'SIGCONT')
      await this.kill(machine)
    }
  }

  lastWords(): string[] {
    return this.#words
  }
}

async function end(machine: Machine, signal: NodeJS.Signals): Promise<void> {
  const { child } = machine
  machine.child = null
  if (child === null || child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await gone
  clearTimeout(timer)
}

type Trouble = readonly [name: string, strike: () => Promise<void>]

function troublesOf(world: {
  random: Random
  proxy: BrokerProxy
  broker: Broker
  fleet: Fleet
  log: KafkaLog
  machines: readonly Machine[]
}): Trouble[] {
  const { random, proxy, broker, fleet, log, machines } = world
  const back = async (machine: Machine) => {
    if (machine.child === null || machine.child.exitCode !== null) fleet.boot(machine)
  }
  /** Another member comes, and goes. */
  const visit = async (stay: number) => {
    const before = fleet.generation
    const guest = fleet.add(`guest-${random.below(1_000_000)}`)
    await fleet.nextGeneration(before, 15_000)
    await sleep(stay)
    await (random.chance(0.5) ? fleet.stop(guest) : fleet.kill(guest))
  }
  const lose = LOSABLE.map(
    (api): Trouble => [
      `answer to ${api} lost`,
      async () => {
        for (let n = 1 + random.below(3); n > 0; n--) proxy.lose(api)
        await sleep(300)
      },
    ],
  )
  return [
    ...lose,
    [
      'kill -9',
      async () => {
        const machine = random.pick(machines)
        await fleet.kill(machine)
        await sleep(random.below(1_500))
        await back(machine)
      },
    ],
    [
      'kill -9',
      async () => {
        await Promise.all(machines.map(m => fleet.kill(m)))
        for (const machine of machines) await back(machine)
      },
    ],
    [
      'stopped past its session, then goes on',
      async () => {
        const machine = random.pick(machines)
        fleet.signal(machine, 'SIGSTOP')
        await sleep(SESSION_MS + 500 + random.below(2_000))
        fleet.signal(machine, 'SIGCONT')
      },
    ],
    [
      'stopped, and goes on in time',
      async () => {
        const machine = random.pick(machines)
        fleet.signal(machine, 'SIGSTOP')
        await sleep(random.below(SESSION_MS))
        fleet.signal(machine, 'SIGCONT')
      },
    ],
    [
      'broker killed',
      async () => {
        await broker.server.kill()
        await sleep(random.below(1_000))
        await broker.server.start()
      },
    ],
    [
      'broker restarted',
      async () => {
        await broker.server.stop()
        await broker.server.start()
      },
    ],
    ['rebalance', () => visit(random.below(1_000))],
    [
      'storm of rebalances',
      async () => {
        await Promise.all([visit(0), visit(300), visit(600)])
      },
    ],
    [
      'away for a generation, and back',
      async () => {
        const machine = random.pick(machines)
        const before = fleet.generation
        fleet.signal(machine, 'SIGSTOP')
        await fleet.nextGeneration(before, 8_000)
        fleet.signal(machine, 'SIGCONT')
        await fleet.nextGeneration(before + 1, 8_000)
      },
    ],
    [
      'rejoin between the sends and the offsets',
      async () => {
        const before = fleet.generation
        let release: () => void = () => {}
        const released = new Promise<void>(resolve => {
          release = resolve
        })
        await Promise.race([proxy.hold('TxnOffsetCommit', released), sleep(3_000)])
        const visiting = visit(200)
        await fleet.nextGeneration(before, 8_000)
        release()
        await visiting
      },
    ],
    [
      'group offsets expired',
      async () => {
        await Promise.all(machines.map(m => fleet.stop(m)))
        const admin = kafkaOf({ brokers: [broker.address] }).admin()
        await admin.connect()
        // A member that was killed keeps the group alive until its session ends.
        for (let tries = 0; tries < 20 && (await log.groups()).includes(GROUP); tries++) {
          await admin.deleteGroups([GROUP]).catch(() => sleep(300))
        }
        await admin.disconnect()
        for (const machine of machines) await back(machine)
      },
    ],
  ]
}

type Sent = Map<string, { key: string; kind: string; sequence: number }>

/** Inputs without a pause, each with an id: what was not acknowledged is sent again, and some of the rest too. */
function startLoad(log: KafkaLog, random: Random): { stop(): Promise<Sent> } {
  const sent: Sent = new Map()
  let stopping = false
  const run = async () => {
    for (let sequence = 0; !stopping; ) {
      const batch = Array.from({ length: 1 + random.below(20) }, () => {
        const kind = random.pick(['add', 'add', 'add', 'add', 'once', 'again', 'timer', 'clear', 'poison', 'forget'])
        const key = `key-${random.below(kind === 'poison' ? POISONED_KEYS : KEYS)}`
        const delayMs = kind === 'timer' ? random.below(4_000) : random.chance(0.5) ? 0 : 1_000 + random.below(15_000)
        const id = `i${sequence}`
        sent.set(id, { key, kind, sequence })
        const value = codec.encode(trialInbox.name, 'TrialInput', { sequence: sequence++, kind, delayMs })
        return { topic: trialInbox.name, key, value, headers: { [RECORD_ID]: id } }
      })
      for (let copies = random.chance(0.1) ? 2 : 1; copies > 0; ) {
        try {
          await log.append(batch)
          copies--
        } catch {
          await sleep(200)
        }
      }
      await sleep(20)
    }
  }
  const running = run()
  return {
    stop: async () => {
      stopping = true
      await running
      return sent
    },
  }
}

/** The outside: takes its time, and keeps what was done. */
async function startOutside(random: Random, done: Done[]): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      setTimeout(() => {
        done.push(JSON.parse(Buffer.concat(chunks).toString()) as Done)
        response.end('{}')
      }, random.below(200))
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${port}/`,
    close: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
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
