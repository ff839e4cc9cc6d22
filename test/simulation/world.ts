/**
 * One seeded run: two workers with the real worker and task code on a simulated log, an outside world that may not answer, inputs
 * that come twice, and faults until everything is healed and has to settle.
 */
import { NotDone, type Run } from '../../engine/actor.ts'
import { MemoryStore, type StoreBatch } from '../../engine/store.ts'
import { Worker } from '../../engine/worker.ts'
import { changelog, deadLetters } from '../../topics/catalog.ts'
import { Codec, MemoryRegistry } from '../../topics/codec.ts'
import { partitionKey } from '../../topics/log.ts'
import { partitionOf } from '../../topics/murmur2.ts'
import { Cluster, SimulatedLog } from './log.ts'
import { check } from './oracle.ts'
import { type Life, Scheduler } from './scheduler.ts'
import { EFFECT_TIMEOUT, trial, trialInbox, trialOutputs } from './trial.ts'

export const trialChangelog = changelog('trial', trialInbox)
export const codec = await Codec.open(new MemoryRegistry(), [trialInbox, trialOutputs, trialChangelog, deadLetters])

/** Something that reached the outside. */
export interface Done {
  readonly attempt: string
  readonly key: string
  readonly effect: 'once' | 'again'
  readonly sequence: number
}

export interface Outcome {
  readonly seed: number
  readonly violations: readonly string[]
  readonly steps: number
  readonly inputs: number
  readonly faults: Readonly<Record<string, number>>
}

const KEYS = ['a', 'b', 'c', 'd', 'e']
const INPUTS = 40
const FAULTY_MS = 60_000
const SETTLE_MS = 400_000

/** A store that outlives the lives of its worker, as a folder does; its writes take time. */
class SimulatedStore extends MemoryStore {
  readonly #cluster: Cluster
  life: Life
  constructor(id: string, cluster: Cluster, life: Life) {
    super(id)
    this.#cluster = cluster
    this.life = life
  }
  override async write(batch: StoreBatch): Promise<void> {
    const { scheduler, stalls } = this.#cluster
    const { life } = this
    await scheduler.sleep(scheduler.random.chance(stalls) ? scheduler.random.below(12_000) : 0, life)
    await super.write(batch)
    await scheduler.sleep(0, life)
  }
}

interface Machine {
  readonly name: string
  readonly stores: Map<string, SimulatedStore>
  lives: number
  life: Life
  log: SimulatedLog
  worker: Worker
  skew: number
  joinedAt: number
}

export async function simulate(seed: number): Promise<Outcome> {
  const scheduler = new Scheduler(seed)
  const { random } = scheduler
  const cluster = new Cluster(
    scheduler,
    new Map([trialInbox, trialOutputs, trialChangelog, deadLetters].map(t => [t.name, t.partitions])),
  )
  cluster.inputs = Array.from({ length: trialInbox.partitions }, (_, partition) =>
    partitionKey({ topic: trialInbox.name, partition }),
  )
  const done: Done[] = []
  const faults: Record<string, number> = {}
  const violations = cluster.violations
  const sent = new Map<string, { key: string; kind: string; sequence: number }>()
  const fault = (name: string) => {
    faults[name] = (faults[name] ?? 0) + 1
  }
  const trouble = { on: true }
  const inFlight = new Map<string, { attempt: string; life: Life; until: number }>()

  const outside = (machine: Machine, life: Life, effect: Done['effect']) => async (input: object, run: Run) => {
    const { sequence } = input as { sequence: number }
    await scheduler.sleep(random.below(trouble.on ? 4_000 : 50), life)
    if (trouble.on && random.chance(0.1)) throw new NotDone('nobody there')
    run.leave()
    if (run.notAfter !== null && wallClock(machine) > run.notAfter) violations.push(`${run.attempt} left after its notAfter`)
    const at = { topic: trialInbox.name, partition: partitionOf(run.key, trialInbox.partitions) }
    const owner = cluster.owner(at)
    if (owner !== undefined && owner !== life)
      violations.push(`${life.name} let ${run.attempt} leave, but ${owner.name} owns ${run.key}`)
    const known = (attempt: string) => cluster.all(at).find(r => r.headers.attempt === attempt)
    const result = known(run.attempt)
    if (result !== undefined && result.timestamp < machine.joinedAt) {
      violations.push(`${life.name} did ${run.attempt} again, though its result was in the log before it was assigned the task`)
    }
    const former = inFlight.get(run.key)
    const apart = former?.attempt !== run.attempt || former.life !== life
    // An idempotent attempt may still run a second time when the result of its first has let the next one start.
    if (former !== undefined && apart && former.until > scheduler.time && known(former.attempt) === undefined) {
      violations.push(
        `${life.name} let ${run.attempt} leave while ${former.life.name} still waited for ${former.attempt} of the same key`,
      )
    }
    const flight = { attempt: run.attempt, life, until: scheduler.time + EFFECT_TIMEOUT }
    inFlight.set(run.key, flight)
    const landed = () => {
      flight.until = 0
    }
    await scheduler.sleep(random.below(100), null)
    if (trouble.on && random.chance(0.1)) {
      fault('lost on the way')
      return new Promise<never>(() => {})
    }
    done.push({ attempt: run.attempt, key: run.key, effect, sequence })
    if (trouble.on && random.chance(0.15)) {
      fault('answer lost')
      if (random.chance(0.5)) return new Promise<never>(() => {})
      await scheduler.sleep(random.below(100), life)
      landed()
      throw new Error('connection reset')
    }
    await scheduler.sleep(random.below(trouble.on && random.chance(0.2) ? 7_000 : 100), life)
    landed()
    return { sequence }
  }

  const wallClock = (machine: Machine) => 1_700_000_000_000 + scheduler.time + machine.skew

  const boot = (machine: Machine): void => {
    machine.lives += 1
    const life: Life = { name: `${machine.name}#${machine.lives}`, dead: false, paused: false }
    machine.life = life
    machine.log = new SimulatedLog(cluster, life)
    const clock = {
      now: () => 1_700_000_000_000 + scheduler.time + machine.skew,
      mono: () => scheduler.time,
      sleep: (ms: number, signal?: AbortSignal) => {
        if (signal === undefined) return scheduler.sleep(ms, life)
        return new Promise<void>(resolve => {
          signal.addEventListener('abort', () => resolve(), { once: true })
          scheduler.at(ms, life, resolve)
        })
      },
    }
    let ids = 0
    machine.worker = new Worker({
      log: machine.log,
      codec,
      actors: [trial] as never,
      ports: { trial: { once: outside(machine, life, 'once') as never, again: outside(machine, life, 'again') as never } },
      group: 'sim',
      instance: machine.name,
      openStore: async (_actor, partition) => {
        await scheduler.sleep(0, life)
        const kept = machine.stores.get(String(partition))
        const store = kept ?? new SimulatedStore(`${machine.name}/${partition}`, cluster, life)
        store.life = life
        machine.stores.set(String(partition), store)
        return store
      },
      codeVersion: '1',
      clock,
      maxRecords: 8,
      cacheSize: 3,
      newId: () => `${life.name}.${ids++}`,
      onError: (what, error) => {
        if (error instanceof TypeError || error instanceof RangeError)
          violations.push(`${life.name}: ${what}: ${(error as Error).stack}`)
      },
      onAssigned: () => {
        machine.joinedAt = cluster.now()
      },
    })
    void machine.worker.start()
  }

  const machines = ['one', 'two'].map(name => {
    const machine = { name, stores: new Map(), lives: 0, skew: 0, joinedAt: 0 } as unknown as Machine
    boot(machine)
    return machine
  })

  // Inputs: each once or more, some late, with ids, so that a repeated one is known.
  for (let sequence = 0; sequence < INPUTS; sequence++) {
    const key = random.pick(KEYS)
    const kind = random.pick(['add', 'add', 'once', 'once', 'again', 'timer', 'timer', 'clear', 'poison', 'forget'])
    const delayMs = kind === 'timer' ? random.below(8_000) : random.chance(0.5) ? 0 : 1 + random.below(15_000)
    const id = `i${sequence}`
    sent.set(id, { key, kind, sequence })
    const value = codec.encode(trialInbox.name, 'TrialInput', { sequence, kind, delayMs })
    const first = random.below(FAULTY_MS)
    for (let copies = random.chance(0.3) ? 3 : 1; copies > 0; copies--) {
      const delay = first + random.below(copies * 2_000)
      scheduler.at(delay, null, () => void cluster.write({ topic: trialInbox.name, key, value, headers: { id } }))
    }
  }

  const troubles: (() => void)[] = [
    () => {
      const machine = random.pick(machines)
      fault('crash')
      machine.life.dead = true
      scheduler.at(random.below(15_000), null, () => {
        if (machine.life.dead) boot(machine)
      })
    },
    () => {
      const { life } = random.pick(machines)
      fault('stop and go on')
      life.paused = true
      scheduler.at(random.below(25_000), null, () => {
        life.paused = false
      })
    },
    () => {
      const { log } = random.pick(machines)
      fault('cut off')
      log.cutOff = true
      scheduler.at(random.below(25_000), null, () => {
        log.cutOff = false
      })
    },
    () => {
      fault('rebalance')
      cluster.shake()
    },
    () => {
      fault('clock jumps')
      const ms = random.below(20_000) - 10_000
      if (random.chance(0.5)) cluster.skew = ms
      else random.pick(machines).skew = ms
    },
    () => {
      const machine = random.pick(machines)
      fault('clean stop')
      const { life } = machine
      void machine.worker.stop().then(() => {
        life.dead = true
        scheduler.at(random.below(5_000), null, () => {
          if (machine.life === life) boot(machine)
        })
      })
      scheduler.at(20_000, null, () => {
        if (machine.life !== life || life.dead) return
        life.dead = true
        boot(machine)
      })
    },
  ]
  for (let n = random.below(8); n > 0; n--) scheduler.at(random.below(FAULTY_MS), null, random.pick(troubles))
  cluster.stalls = random.chance(0.5) ? 0.06 : 0
  cluster.unknownCommits = random.chance(0.5) ? 0.05 : 0
  cluster.doubtfulAppends = random.chance(0.5) ? 0.1 : 0

  while (scheduler.time < FAULTY_MS && (await scheduler.step(FAULTY_MS)));
  trouble.on = false
  cluster.stalls = 0
  cluster.unknownCommits = 0
  cluster.doubtfulAppends = 0
  cluster.skew = 10_000
  for (const machine of machines) {
    machine.skew = 10_000
    machine.life.paused = false
    machine.log.cutOff = false
    if (machine.life.dead) boot(machine)
  }
  const settledAt = FAULTY_MS + SETTLE_MS
  const settled = () => check({ cluster, done, sent, workers: machines.map(m => m.worker), quick: true }).length === 0
  let next = FAULTY_MS + 40_000
  while (scheduler.time < settledAt && (await scheduler.step(settledAt))) {
    if (scheduler.time < next) continue
    if (settled()) break
    next = scheduler.time + 20_000
  }
  violations.push(...check({ cluster, done, sent, workers: machines.map(m => m.worker), quick: false }))
  for (const { life } of machines) life.dead = true
  return { seed, violations: [...new Set(violations)], steps: scheduler.steps, inputs: sent.size, faults }
}
