/**
 * On a real broker, in one run: the worker beside a raw copy of the same records (plain kafkajs, and this project's own driver
 * without the engine), the turn through the service, and how long a worker with a million keys needs to be back.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startStack } from '../../test/stack/stack.ts'
import { defineTopic } from '../../topics/catalog.ts'
import { KafkaClient } from '../../topics/kafka/client.ts'
import { kafkaOf } from '../../topics/kafka/settings.ts'
import { type KafkaLog, openKafkaLog } from '../../topics/kafka/log.ts'
import { partitionOf } from '../../topics/murmur2.ts'
import { benchTurn, type Latencies } from '../turn.ts'

const PARTITIONS = 12
/** Numbers of keys: one for each partition. */
const ONE_FOR_EACH = Array.from({ length: PARTITIONS }, (_, partition) => {
  for (let n = 0; ; n++) if (partitionOf(keyOf(n), PARTITIONS) === partition) return n
})

export interface KeyedOnKafka {
  readonly name: string
  /** From the first to the last record visible to committed readers. */
  readonly recordsPerSecond: number
  readonly cpuPerMillion: number
  readonly brokerCpuPerMillion: number
  /** What the worker says at its end; null of a raw copy. */
  readonly said: Said | null
}

export interface Said {
  readonly transactions: number
  readonly records: number
  readonly commit: { readonly p50: number; readonly p99: number }
}

export interface Restores {
  readonly cold: number
  readonly killedIdle: number
  readonly killedUnderLoad: number
}

export interface OnKafka {
  keyed(contestant: 'worker' | 'kafkajs' | 'driver', records?: number): Promise<KeyedOnKafka>
  restores(keys?: number): Promise<Restores>
  turn(): Promise<{ turn: Latencies; direct: Latencies; messages: number }>
  close(): Promise<void>
}

export async function benchOnKafka(): Promise<OnKafka> {
  const stack = await startStack({ only: ['kafka', 'registry'] })
  const brokers = stack.env.KAFKA_BROKERS as string
  const kafka = { brokers: [brokers] }
  const brokerPid = stack.pids.kafka as number
  let runs = 0

  return {
    async keyed(contestant, records = 1_000_000) {
      const run = await prepared({ kafka, name: `run${runs++}`, records, keys: 10_000, bytes: 200 })
      const cpu = { broker: cpuOf(brokerPid) }
      const life = start(run, contestant, 496)
      const { first, last } = await watch(kafka, run.output, records)
      const used = cpuOf(life.child.pid as number)
      const broker = cpuOf(brokerPid) - cpu.broker
      const said = await life.end('SIGTERM')
      await run.remove()
      return {
        name: contestant,
        recordsPerSecond: (records - first.count) / ((last - first.at) / 1000),
        cpuPerMillion: (used * 1e6) / records,
        brokerCpuPerMillion: (broker * 1e6) / records,
        said,
      }
    },

    async restores(keys = 1_000_000) {
      const run = await prepared({ kafka, name: `run${runs++}`, records: keys, keys, bytes: 200 })
      const answered = async (log: KafkaLog, began: number) => {
        const before = await endsOf(log, run.output)
        await run.load(PARTITIONS, n => ONE_FOR_EACH[n] as number)
        // One answer in each partition.
        for (;;) {
          const now = await endsOf(log, run.output)
          if (now.every((end, i) => end > (before[i] as number))) return (performance.now() - began) / 1000
          await sleep(2)
        }
      }
      let life = start(run, 'worker', 300)
      await watch(kafka, run.output, keys)
      await sleep(2_000)
      await life.end('SIGKILL')
      let began = performance.now()
      life = start(run, 'worker', 300)
      const killedIdle = await answered(run.log, began)
      void run.load(300_000, n => (n * 7) % keys)
      await sleep(1_200)
      await life.end('SIGKILL')
      began = performance.now()
      life = start(run, 'worker', 300)
      const killedUnderLoad = await answered(run.log, began)
      await sleep(8_000)
      await life.end('SIGTERM')
      rmSync(run.folder, { recursive: true, force: true })
      began = performance.now()
      life = start(run, 'worker', 300)
      const cold = await answered(run.log, began)
      await life.end('SIGTERM')
      await run.remove()
      return { cold, killedIdle, killedUnderLoad }
    },

    turn: () => benchTurn({ env: { ...stack.env, KAFKA_PARTITIONS: '12', KAFKA_PREFIX: `turn${runs++}.` } }),
    close: () => stack.stop(),
  }
}

function keyOf(n: number): string {
  return `key-${String(n).padStart(7, '0')}`
}

interface Run {
  readonly name: string
  readonly input: string
  readonly output: string
  readonly folder: string
  readonly brokers: string
  readonly log: KafkaLog
  load(records: number, key: (n: number) => number): Promise<void>
  remove(): Promise<void>
}

/** Topics of a run, with its input in them. */
async function prepared(plan: {
  kafka: { brokers: string[] }
  name: string
  records: number
  keys: number
  bytes: number
}): Promise<Run> {
  const { kafka, name, records, keys, bytes } = plan
  const [input, output] = [`${name}.input`, `${name}.output`]
  const topics = [input, output].map(topic => defineTopic(topic, 'key', [], { partitions: PARTITIONS }))
  const log = await openKafkaLog({ kafka, topics })
  const pool = randomBytes(bytes + 4_096)
  let sequence = 0
  const load = async (count: number, key: (n: number) => number) => {
    for (let from = 0; from < count; from += 20_000) {
      const batch = Array.from({ length: Math.min(20_000, count - from) }, (_, i) => {
        const value = Buffer.from(pool.subarray(i % 4_096, (i % 4_096) + bytes))
        value.writeBigInt64BE(BigInt(sequence++), 0)
        return { topic: input, key: keyOf(key(from + i)), value }
      })
      await log.append(batch)
    }
  }
  await load(records, n => (keys === records ? n : Math.floor(Math.random() * keys)))
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  return {
    name,
    input,
    output,
    folder,
    brokers: kafka.brokers.join(','),
    log,
    load,
    async remove() {
      await log.close()
      const admin = kafkaOf(kafka).admin()
      await admin.connect()
      const ours = (await admin.listTopics()).filter(topic => topic.startsWith(name))
      await admin.deleteTopics({ topics: ours })
      await admin.disconnect()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

interface Life {
  readonly child: ChildProcess
  end(signal: NodeJS.Signals): Promise<Said | null>
}

function start(run: Run, contestant: 'worker' | 'kafkajs' | 'driver', stateBytes: number): Life {
  const script = contestant === 'worker' ? 'contestant.ts' : 'raw-copy.ts'
  const child = spawn(process.execPath, [join(import.meta.dirname, script)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      MODE: contestant,
      KAFKA_BROKERS: run.brokers,
      BENCH_INPUT: run.input,
      BENCH_OUTPUT: run.output,
      BENCH_PARTITIONS: String(PARTITIONS),
      BENCH_APP_ID: run.name,
      BENCH_STATE_DIR: run.folder,
      BENCH_STATE_BYTES: String(stateBytes),
    },
  })
  let said = ''
  child.stdout?.on('data', data => {
    said += data
  })
  return {
    child,
    async end(signal) {
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill(signal)
      await gone
      const line = said.split('\n').find(l => l.startsWith('BENCH '))
      return line === undefined ? null : (JSON.parse(line.slice(6)) as Said)
    },
  }
}

/** When the first and the last of so many records could be seen by committed readers. Markers take offsets too. */
async function watch(kafka: { brokers: string[] }, topic: string, records: number) {
  const client = new KafkaClient(kafka)
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition }))
  let first: { at: number; count: number } | null = null
  let last = performance.now()
  try {
    for (let before = 0; ; ) {
      const ends = await client.offsets(partitions, 'lastStable')
      const seen = ends.reduce((sum, { offset }) => sum + offset, 0)
      const now = performance.now()
      if (seen > before) {
        first ??= { at: now, count: seen }
        last = now
        before = seen
      }
      // Everything is there once it has stood still: markers make it more than the records.
      if (seen >= records && now - last > 500) return { first: first as { at: number; count: number }, last }
      await sleep(10)
    }
  } finally {
    await client.close()
  }
}

async function endsOf(log: KafkaLog, topic: string): Promise<number[]> {
  return (await log.ends(topic)).map(e => e.high)
}

/** User and system seconds of a process so far. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}
