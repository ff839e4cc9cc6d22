/**
 * Two processes of sinks on a real cluster, under load, killed and stopped past their sessions at random. What every store holds
 * afterwards is what it holds when it is filled once, in peace.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { allTopics, type Topic } from '../../topics/catalog.ts'
import { Codec, MemoryRegistry } from '../../topics/codec.ts'
import { openKafkaLog } from '../../topics/kafka/log.ts'
import { Random } from '../simulation/scheduler.ts'
import { Load } from './load.ts'
import { type Addresses, closePools, type Target, targets } from './targets.ts'

const PARTITIONS = 3
const SESSION_MS = 2_000

/** The cluster as all processes of the chaos see it. */
export function logSettings(brokers: string, prefix: string) {
  return {
    kafka: { brokers: brokers.split(','), prefix, requestTimeout: 5_000 },
    topics: allTopics(),
    partitions: (topic: Topic) => Math.min(topic.partitions, PARTITIONS),
    sessionTimeout: SESSION_MS,
    rebalanceTimeout: 3_000,
  }
}

export interface Chaos {
  readonly records: number
  readonly kills: number
  readonly stops: number
  /** Lines by store and table. */
  readonly lines: Readonly<Record<string, number>>
  readonly differences: readonly string[]
}

/** @param addresses of the stores that suffer, and of empty ones beside them */
export async function chaos(options: {
  readonly seed: number
  /** Of each kind. */
  readonly faults: number
  readonly brokers: string
  readonly addresses: Addresses
  readonly clean: Addresses
  /** Takes a store away for a while, once in the middle. */
  readonly interrupt: () => Promise<void>
}): Promise<Chaos> {
  const { seed, faults, brokers, addresses, clean, interrupt } = options
  const random = new Random(seed)
  const prefix = `chaos-${process.pid}-${Date.now()}.`
  const folder = mkdtempSync(join(tmpdir(), 'chaos-'))
  const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true }), closePools]
  try {
    for (const target of targets) {
      await target.prepare(addresses)
      await target.prepare(clean)
    }
    const log = await openKafkaLog(logSettings(brokers, prefix))
    closers.push(() => log.close())
    const codec = await Codec.open(new MemoryRegistry(), allTopics())
    const words: string[] = []
    const fleet = ['one', 'two'].map(name => new Process(name, { folder, brokers, prefix, addresses, words }))
    closers.push(() => Promise.all(fleet.map(process => process.kill())))

    const load = new Load(codec, random)
    let [records, stopping] = [0, false]
    const loading = (async () => {
      while (!stopping) {
        const batch = load.next(20 + random.below(60))
        await log.append(batch)
        records += batch.length
        await sleep(10)
      }
    })()
    const kinds = Array.from({ length: faults }, () => ['kill', 'stop'] as const).flat()
    const half = kinds.length / 2
    let interrupted: Promise<void> | null = null
    while (kinds.length > 0) {
      if (kinds.length <= half) interrupted ??= interrupt()
      const [kind] = kinds.splice(random.below(kinds.length), 1)
      const victim = random.pick(fleet)
      await sleep(random.below(1_500))
      if (kind === 'kill') {
        await victim.kill()
        await sleep(random.below(800))
        victim.boot()
      } else {
        victim.signal('SIGSTOP')
        await sleep(SESSION_MS + random.below(2_500))
        victim.signal('SIGCONT')
      }
    }
    await interrupted
    stopping = true
    await loading

    const lines: Record<string, number> = {}
    const differences: string[] = []
    for (const target of targets) {
      const started = await target.start(clean, { log, codec, instance: 'clean', group: `clean.${target.name}` })
      const ends = (await Promise.all(target.topics.map(async t => (await log.ends(t.name)).map(e => e.high)))).flat()
      const all = ends.reduce((sum, high) => sum + high, 0)
      while (started.sink.positions().reduce((sum, { offset }) => sum + offset, 0) < all) await sleep(50)
      await started.close()
      const wanted = await target.dump(clean)
      for (const [table, of] of wanted) lines[`${target.name}.${table}`] = of.length
      differences.push(...(await settled(target, addresses, wanted)))
    }
    return {
      records,
      kills: faults,
      stops: faults,
      lines,
      differences: differences.length === 0 ? [] : [...differences, ...words],
    }
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

/** What differs from what is wanted once the store has come to rest. */
async function settled(target: Target, addresses: Addresses, wanted: ReadonlyMap<string, string[]>): Promise<string[]> {
  for (const until = Date.now() + 60_000; ; ) {
    const found = await target.dump(addresses)
    const differences = [...wanted].flatMap(([table, lines]) =>
      differing(`${target.name}.${table}`, lines, found.get(table) ?? []),
    )
    if (differences.length === 0 || Date.now() > until) return differences
    await sleep(500)
  }
}

function differing(table: string, wanted: readonly string[], found: readonly string[]): string[] {
  const [more, fewer] = [counts(found), counts(wanted)]
  const wrong: string[] = []
  for (const [line, n] of more) if (n > (fewer.get(line) ?? 0)) wrong.push(`${table} has and should not: ${line}`)
  for (const [line, n] of fewer) if (n > (more.get(line) ?? 0)) wrong.push(`${table} lacks: ${line}`)
  return wrong.slice(0, 10)
}

function counts(lines: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1)
  return counts
}

class Process {
  readonly #args: readonly string[]
  readonly #words: string[]
  #child: ChildProcess

  constructor(name: string, options: { folder: string; brokers: string; prefix: string; addresses: Addresses; words: string[] }) {
    const { folder, brokers, prefix, addresses, words } = options
    const own = join(folder, name)
    mkdirSync(own)
    const child = join(import.meta.dirname, 'child.ts')
    this.#args = [child, '--brokers', brokers, '--prefix', prefix, '--folder', own, '--addresses', JSON.stringify(addresses)]
    this.#words = words
    this.#child = this.#spawn()
  }

  boot(): void {
    this.#child = this.#spawn()
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
    child.kill('SIGKILL')
    await gone
  }

  #spawn(): ChildProcess {
    const child = spawn(process.execPath, this.#args, { stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr?.on('data', data => {
      this.#words.push(String(data).trim().slice(0, 300))
      if (this.#words.length > 30) this.#words.shift()
    })
    return child
  }
}
