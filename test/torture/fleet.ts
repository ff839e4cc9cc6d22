/** Worker processes, each with its own folder, that are killed, stopped and restarted. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TransactionVersion } from '../../topics/kafka/transaction-protocol.ts'
import type { ChildNews, ChildSettings } from './child.ts'

export interface Machine {
  readonly name: string
  child: ChildProcess | null
  /** Boots of the machine, as its processes see them. */
  boots: number
  /** It should run: a process that exits by itself is restarted, as by a supervisor. */
  wanted: boolean
  news: ChildNews
}

export interface FleetOptions extends Pick<ChildSettings, 'brokers' | 'registry' | 'database' | 'outside'> {
  readonly folder: string
  /** Protocol of transactions; with `by turns` processes alternate, as during the upgrade of a cluster. */
  readonly transactions: TransactionVersion | 'by turns'
  readonly say: (line: string) => void
}

const RESTART_MS = 1_000

export class Fleet {
  readonly #options: FleetOptions
  readonly #machines: Machine[] = []
  readonly #words: string[] = []
  #assignments = 0
  /** Newest generation that any of them was assigned. */
  #generation = 0
  /** Processes that have exited by themselves. */
  #ended = 0
  #started = 0

  constructor(options: FleetOptions) {
    this.#options = options
  }

  get assignments(): number {
    return this.#assignments
  }

  get ended(): number {
    return this.#ended
  }

  folder(name: string): string {
    return join(this.#options.folder, name)
  }

  add(name: string): Machine {
    const machine: Machine = { name, child: null, boots: 0, wanted: true, news: {} }
    this.#machines.push(machine)
    this.boot(machine)
    return machine
  }

  boot(machine: Machine): void {
    if (machine.child !== null) return
    const { brokers, registry, database, outside, transactions: ways } = this.#options
    const transactions = ways === 'by turns' ? (this.#started % 2 === 0 ? 2 : 1) : ways
    this.#started++
    const { name: instance, boots } = machine
    const folder = this.folder(instance)
    mkdirSync(folder, { recursive: true })
    const boot = boots === 0 ? null : `boot ${boots}`
    const settings: ChildSettings = { instance, folder, brokers, registry, database, outside, boot, transactions }
    const child = spawn(process.execPath, [join(import.meta.dirname, 'child.ts'), JSON.stringify(settings)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    // An interrupted run leaves no process behind.
    const killed = () => child.kill('SIGKILL')
    process.once('exit', killed)
    child.once('exit', () => process.off('exit', killed))
    machine.child = child
    machine.wanted = true
    machine.news = {}
    let rest = ''
    child.stdout?.on('data', data => {
      const lines = (rest + data).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.#hear(machine, JSON.parse(line) as ChildNews)
    })
    child.stderr?.on('data', data => {
      this.#words.push(`${machine.name}: ${String(data).trim()}`)
      if (this.#words.length > 40) this.#words.shift()
    })
    child.once('exit', (code, signal) => this.#exited(machine, child, code ?? signal))
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

  /** Makes all of these run. */
  heal(machines: readonly Machine[]): void {
    for (const machine of machines) {
      this.signal(machine, 'SIGCONT')
      this.boot(machine)
    }
  }

  async killAll(): Promise<void> {
    for (const machine of this.#machines) {
      this.signal(machine, 'SIGCONT')
      await this.kill(machine)
    }
  }

  /** Halted partitions and failing cycles, by machine. */
  halted(): string[] {
    return this.#machines
      .filter(m => m.child !== null)
      .flatMap(({ name, news: { halted = {}, failing = null } }) => [
        ...Object.entries(halted).map(([partition, why]) => `${name}: partition ${partition} ${why}`),
        ...(failing === null ? [] : [`${name}: cycles fail: ${failing}`]),
      ])
  }

  lastWords(): string[] {
    return this.#words
  }

  #hear(machine: Machine, news: ChildNews): void {
    machine.news = { ...machine.news, ...news }
    if (news.generation !== undefined) {
      this.#assignments++
      this.#generation = Math.max(this.#generation, news.generation)
      return
    }
    const halted = Object.entries(news.halted ?? {}).map(([partition, why]) => `${partition} ${why}`)
    const failing = news.failing == null ? [] : [`cycles fail: ${news.failing}`]
    this.#options.say(`  ${machine.name}: ${[...halted, ...failing].join('; ') || 'all is well'}`)
  }

  #exited(machine: Machine, child: ChildProcess, how: unknown): void {
    if (machine.child !== child) return
    machine.child = null
    this.#ended++
    const said = this.#words.flatMap(words => words.split('\n')).findLast(line => /^(\S+: )?\w*(Error|Fatal)\b/.test(line))
    this.#options.say(`  ${machine.name} ended with ${how}: ${said ?? this.#words.at(-1)}`)
    setTimeout(() => machine.wanted && this.boot(machine), RESTART_MS)
  }
}

async function end(machine: Machine, signal: NodeJS.Signals): Promise<void> {
  const { child } = machine
  machine.child = null
  machine.wanted = false
  if (child === null || child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await gone
  clearTimeout(timer)
}
