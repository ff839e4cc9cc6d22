/**
 * One seeded run: two machines with the real worker and task code on a simulated cluster, an outside world that may not answer,
 * inputs that come twice, and faults until everything is healed and has to settle.
 */
import { type TopicPartition, partitionKey } from '../../topics/log.ts'
import { Cluster, WELL } from './cluster/cluster.ts'
import { type Code, codes, newerForm, tallyChangelog, topics, trialChangelog } from './codes.ts'
import { clusterFaults } from './faults/cluster.ts'
import { codeFaults } from './faults/code.ts'
import { diskFaults, registryFaults } from './faults/disk.ts'
import type { Fault } from './faults/fault.ts'
import { processFaults } from './faults/process.ts'
import { sequenceOf, topicFaults } from './faults/topics.ts'
import { History } from './history.ts'
import { sendInputs } from './inputs.ts'
import { Machine } from './machine/machine.ts'
import type { RegistryTrouble } from './machine/registry.ts'
import { type Account, check } from './oracle.ts'
import { fold, type Handling } from './oracle/fold.ts'
import type { Done, Flight } from './outside.ts'
import { employ } from './person.ts'
import { type Life, Scheduler } from './scheduler.ts'
import { tallyInbox, trialInbox } from './trial.ts'
import { watch } from './watch.ts'

export { codec } from './codes.ts'
export type { Done } from './outside.ts'

export interface Outcome {
  readonly seed: number
  readonly violations: readonly string[]
  readonly steps: number
  readonly inputs: number
  readonly faults: Readonly<Record<string, number>>
  readonly busiest: Readonly<World['busiest']>
  /** What the workers reported, and how often. */
  readonly errors: ReadonlyMap<string, number>
}

/** What may make a task ask for a person. */
export type Touched = 'partitions' | 'changelog' | 'inbox' | 'poison' | 'other'

export const faults: readonly Fault[] = [
  ...processFaults,
  ...clusterFaults,
  ...diskFaults,
  ...registryFaults,
  ...topicFaults,
  ...codeFaults,
]

/** A run that takes more steps than that turns in a circle. */
const MOST_STEPS = 120_000
const SETTLE_MS = 400_000
/** All is healed for that long before anybody looks whether it has settled. */
const FIRST_LOOK = 40_000
const LOOKS = 20_000

export class World {
  readonly scheduler: Scheduler
  readonly cluster: Cluster
  readonly history: History
  readonly machines: Machine[]
  readonly settings = { faultyMs: 60_000, maxCheckpointAge: 1e9, deleteRetention: 1e9, verbose: false }
  readonly trouble = { on: true }
  readonly registryTrouble: RegistryTrouble = { state: 'well', forgetful: false }
  readonly sent = new Map<string, { key: string; kind: string; sequence: number }>()
  readonly done: Done[] = []
  /** What the outside has answered. */
  readonly answers: { readonly actor: string; readonly attempt: string; readonly life: Life }[] = []
  readonly inFlight = new Map<string, Flight>()
  readonly faults: Record<string, number> = {}
  readonly busiest = { restores: 0, transactions: 0, errors: 0 }
  readonly healing: (() => void)[] = []
  /** Senders write by newer schemas. */
  newerInputs = false
  /** What people have done to the cluster, that tasks cannot go on from by themselves. */
  readonly touched = new Set<Touched>()
  /** How often a gap in a partition was accepted. */
  readonly accepted = new Map<string, number>()
  /** What is done while all processes are stopped; null while they may run. */
  maintenance: (() => void)[] | null = null
  /** The group has forgotten its offsets. */
  offsetsExpired = false
  /** Other code is to come: one plan at a time. */
  rollout = false
  /** Keys are on other partitions than before. */
  keysMoved = false
  /** Machines whose changelogs are written by newer schemas. */
  readonly newerWriters = new Set<string>()
  readonly #codes = new Map<Life, Code>()

  constructor(seed: number) {
    this.scheduler = new Scheduler(seed)
    this.cluster = new Cluster(this.scheduler, new Map(topics.map(t => [t.name, t.partitions])))
    const { cluster } = this
    for (const { name, partitions } of [trialInbox, tallyInbox])
      for (let partition = 0; partition < partitions; partition++)
        cluster.group.inputs.push(partitionKey({ topic: name, partition }))
    cluster.ownedBy.set(trialInbox.name, trialInbox.name)
    cluster.ownedBy.set(trialChangelog.name, trialInbox.name)
    cluster.ownedBy.set(tallyChangelog.name, tallyInbox.name)
    cluster.rewrite = (life, append) => {
      const newer =
        life !== null && append.topic.endsWith('.changelog') && this.newerWriters.has(life.name.split('#')[0] as string)
      return newer ? { ...append, value: newerForm(append.value) } : append
    }
    this.history = new History(cluster, life => this.#codes.get(life) ?? codes.base)
    this.machines = ['one', 'two'].map(name => new Machine(this, name))
  }

  get violations(): string[] {
    return this.cluster.violations
  }

  fault(name: string): void {
    this.faults[name] = (this.faults[name] ?? 0) + 1
  }

  runs(life: Life, code: Code): void {
    this.#codes.set(life, code)
  }

  heal(): void {
    this.trouble.on = false
    this.maintenance = null
    for (const heal of this.healing.splice(0)) heal()
    this.cluster.odds = { ...WELL }
    this.cluster.skew = 10_000
    for (const machine of this.machines) {
      machine.skew = 10_000
      machine.life.paused = false
      machine.log.cutOff = false
      machine.disk.heal()
      if (machine.life.dead) machine.boot()
    }
  }

  check(quick: boolean): string[] {
    const { cluster, done, sent } = this
    const workers = this.machines.map(m => ({ task: (at: TopicPartition) => m.worker?.task(at) }))
    const actors = codes.base.actors
    return check({ cluster, done, sent, workers, quick, actors, account: this.#account() })
  }

  #account(): Account {
    const { history } = this
    const of = (at: TopicPartition, handled = history.of(at).handled): Handling[] =>
      handled.map(({ record, code, scope, commit, answers }) => ({
        record,
        scope,
        commit,
        answers,
        codeVersion: code.version,
        definition: code.actors.find(a => a.inbox.name === at.topic) as Handling['definition'],
      }))
    const sequences = (records: readonly { record: Handling['record'] }[]) =>
      new Set(records.map(({ record }) => sequenceOf(record)).filter(s => s !== null))
    const forgotten = new Set<string>()
    for (const handled of history.forgotten) {
      // What a lost state had under way, nobody can tell any more.
      for (const { ledger } of fold(of(handled.record, [handled])).instances.values())
        for (const { attempt } of ledger) forgotten.add(attempt)
    }
    return {
      handled: at => of(at),
      rebuilt: at => history.of(at).rebuilt,
      lost: sequences(history.givenUp.map(record => ({ record }))),
      repeated: this.keysMoved ? new Set([...this.sent.values()].map(s => s.sequence)) : sequences(history.forgotten),
      forgotten,
      gone: topic => history.gone.filter(r => r.topic === topic),
    }
  }
}

export async function simulate(
  seed: number,
  { verbose = false, only }: { verbose?: boolean; only?: RegExp | undefined } = {},
): Promise<Outcome> {
  const world = new World(seed)
  const { scheduler, machines, violations } = world
  const { faultyMs } = world.settings
  world.settings.verbose = verbose
  for (const { name, chance, install } of faults) {
    const struck = scheduler.random.chance(chance)
    if (struck && (only === undefined || only.test(name)))
      install(world, () => {
        if (verbose) console.log(`  ${scheduler.time} fault: ${name}`)
        world.fault(name)
      })
  }
  for (const machine of machines) machine.boot()
  sendInputs(world)
  employ(world)
  watch(world)

  while (scheduler.time < faultyMs && scheduler.steps < MOST_STEPS && (await scheduler.step(faultyMs)));
  world.heal()
  const settledAt = faultyMs + SETTLE_MS
  let next = faultyMs + FIRST_LOOK
  while (scheduler.time < settledAt && scheduler.steps < MOST_STEPS && (await scheduler.step(settledAt))) {
    if (scheduler.time < next) continue
    if (world.check(true).length === 0) break
    next = scheduler.time + LOOKS
  }
  if (scheduler.steps >= MOST_STEPS) violations.push(`it turns in a circle at ${scheduler.time} ms`)
  violations.push(...world.check(false), ...unheard(world))
  for (const { life } of machines) life.dead = true
  const errors = new Map<string, number>()
  for (const machine of machines) for (const [what, count] of machine.errors) errors.set(what, (errors.get(what) ?? 0) + count)
  return {
    seed,
    violations: [...new Set(violations)],
    steps: scheduler.steps,
    inputs: world.sent.size,
    faults: world.faults,
    busiest: world.busiest,
    errors,
  }
}

/** Every answer comes to lie in the inbox, however late it was: only the end of its process excuses from that. */
function unheard({ answers, cluster, machines, touched }: World): string[] {
  if (touched.size > 0) return []
  const heard = new Set<string>()
  for (const topic of [trialInbox.name, tallyInbox.name])
    for (const { written } of cluster.partitionsOf(topic)) for (const { headers } of written) heard.add(headers.attempt ?? '')
  const lost = answers.filter(({ attempt, life }) => machines.some(m => m.life === life) && !heard.has(attempt))
  return lost.map(({ attempt, life }) => `${life.name} was told that ${attempt} is done, and kept it to itself`)
}
