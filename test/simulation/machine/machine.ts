/** A machine: a disk, and a process on it that is started again whenever it has ended. */
import { CacheBudget } from '../../../engine/generational-cache.ts'
import { IllegalTransition } from '../../../engine/task/state.ts'
import { Worker } from '../../../engine/worker.ts'
import { Codec } from '../../../topics/codec.ts'
import { type Code, codes, topics } from '../codes.ts'
import { SimulatedLog } from '../cluster/log.ts'
import { portsOf } from '../outside.ts'
import { type Life, Scheduler } from '../scheduler.ts'
import { seen } from '../tally.ts'
import type { World } from '../world.ts'
import { Disk } from './disk.ts'
import { SimulatedRegistry } from './registry.ts'

export class Machine {
  readonly name: string
  readonly #world: World
  readonly disk: Disk
  lives = 0
  life: Life
  log: SimulatedLog
  /** Null while the process comes up. */
  worker: Worker | null = null
  /** How far its clock is off, ms. */
  skew = 0
  /** Log time of its last assignment. */
  assignedAt = 0
  code: Code = codes.base
  /** What it has reported, and how often. */
  readonly errors = new Map<string, number>()

  constructor(world: World, name: string) {
    this.#world = world
    this.name = name
    this.life = { name: `${name}#0`, dead: true, paused: false }
    this.disk = new Disk(world.cluster, name, this.life)
    this.log = new SimulatedLog(world.cluster, this.life)
  }

  get now(): number {
    return Scheduler.EPOCH + this.#world.scheduler.time + this.skew
  }

  boot(): void {
    if (this.#world.maintenance !== null) return
    const { cluster } = this.#world
    this.lives += 1
    const life: Life = { name: `${this.name}#${this.lives}`, dead: false, paused: false }
    this.#world.runs(life, this.code)
    this.life = life
    this.disk.life = life
    this.log = new SimulatedLog(cluster, life)
    this.worker = null
    void this.#run(life)
  }

  /** The process is gone at once; with `power` the machine is, too. */
  async crash(power = false): Promise<void> {
    this.life.dead = true
    this.worker = null
    if (power) await this.disk.loseUnsynced()
  }

  /** Stops it in order, by force if that takes too long; then starts it again. */
  restart(pause: number, code: Code = this.code): void {
    const { scheduler } = this.#world
    const { life, worker } = this
    const again = () => {
      if (this.life !== life) return
      life.dead = true
      this.boot()
    }
    this.code = code
    void worker?.stop().then(() => {
      life.dead = true
      scheduler.at(pause, null, again)
    })
    scheduler.at(20_000, null, () => {
      if (!life.dead) again()
    })
  }

  async #run(life: Life): Promise<void> {
    const { scheduler, registryTrouble } = this.#world
    const { disk, code, log } = this
    let codec: Codec | null = null
    while (codec === null) {
      try {
        codec = await Codec.open(new SimulatedRegistry(scheduler, life, registryTrouble), topics)
      } catch {
        await scheduler.sleep(500, life) // the process would be started anew
      }
    }
    let ids = 0
    this.worker = new Worker({
      log,
      codec,
      actors: code.actors,
      ports: portsOf(this.#world, this, life),
      lookups: seen(),
      group: 'sim',
      instance: this.name,
      openStore: (actor, partition) => disk.open(actor, partition),
      codeVersion: code.version,
      clock: this.#clock(life),
      random: () => scheduler.random.next(),
      maxRecords: 8,
      // So little that actors fall out of memory and are read from the store again.
      cache: new CacheBudget(1),
      maxCheckpointAge: this.#world.settings.maxCheckpointAge,
      newId: () => `${life.name}.${ids++}`,
      onError: (what, error) => this.#report(life, what, error),
      onAssigned: () => {
        this.assignedAt = this.#world.cluster.now()
      },
    })
    await this.worker.start()
  }

  #clock(life: Life) {
    const { scheduler } = this.#world
    return {
      now: () => this.now,
      mono: () => scheduler.time,
      turn: () => scheduler.sleep(0, life),
      sleep: (ms: number, signal?: AbortSignal) => {
        if (signal === undefined) return scheduler.sleep(ms, life)
        if (signal.aborted) return Promise.resolve()
        return new Promise<void>(resolve => {
          signal.addEventListener('abort', () => resolve(), { once: true })
          scheduler.at(ms, life, resolve)
        })
      },
    }
  }

  #report(life: Life, what: string, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error)
    const told = `${what}: ${text}`.replaceAll(/\d+/g, '#')
    this.errors.set(told, (this.errors.get(told) ?? 0) + 1)
    if (this.#world.settings.verbose) console.log(`  ${this.#world.scheduler.time} ${life.name} ${what}: ${text}`)
    if (error instanceof TypeError || error instanceof RangeError || error instanceof IllegalTransition)
      this.#world.violations.push(`${life.name}: ${what}: ${error.stack}`)
  }
}
