/** What a fault is, and the order of injection: every kind once per round, several at a time unless they collide. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KafkaLog } from '../../../topics/kafka/log.ts'
import { Random } from '../../simulation/scheduler.ts'
import type { Broker } from '../../stack/stack.ts'
import type { Fleet, Machine } from '../fleet.ts'
import type { Load } from '../load.ts'
import type { BrokerProxy } from '../proxy.ts'
import type { NewerWriter, RegistryProxy } from '../registry.ts'
import { ALL, type StallMeter } from '../stalls.ts'
import type { SmallDisk } from '../small-disk.ts'

/** What faults are injected into. */
export interface World {
  readonly proxy: BrokerProxy
  readonly broker: Broker
  readonly fleet: Fleet
  readonly log: KafkaLog
  readonly load: Load
  readonly registry: RegistryProxy
  readonly newer: NewerWriter
  readonly machines: readonly [Machine, Machine]
  /** Under the second machine; null when none can be mounted. */
  readonly disk: SmallDisk | null
}

export interface Fault {
  readonly kind: string
  readonly name: string
  /** Faults that need the same resource do not run at the same time. */
  readonly needs?: readonly string[]
  /** It disturbs running work: it waits until all have recovered from earlier faults. */
  readonly needsProgress?: boolean
  inject(injection: Injection): Promise<void>
}

/** One injection of a fault. */
export interface Injection {
  /** A generator of its own, so that its numbers do not depend on what else happens. */
  readonly random: Random
  /** Only these partitions of the inbox are affected; without this call, all of them. */
  affects(partitions: ReadonlySet<number>): void
  /** This many requests or answers were changed. */
  hit(times: number): void
  /** Logs what exactly it does this time. */
  say(what: string): void
}

export interface Tally {
  times: number
  /** Those of them that had an effect. */
  effective: number
}

export interface FaultPlan {
  readonly seed: number
  readonly count: number
  readonly faults: readonly Fault[]
  readonly stalls: StallMeter
  readonly say: (line: string) => void
}

const MAX_AT_ONCE = 3
const PROGRESS_MS = 20_000

/** Injects faults until all of the plan are over. @returns how often each was injected, by name */
export async function injectAll({ seed, count, faults, stalls, say }: FaultPlan): Promise<ReadonlyMap<string, Tally>> {
  const random = new Random(seed)
  const deck = dealt(faults, random)
  const tallies = new Map<string, Tally>()
  const running = new Map<Promise<void>, Fault>()
  for (let n = 1; n <= count; n++) {
    const fault = deck.next().value as Fault
    const pause = 200 + random.below(1_500)
    const own = new Random(seed * 1_000_003 + n)
    const collides = (other: Fault) => other.needs?.some(resource => fault.needs?.includes(resource)) ?? false
    while (running.size >= MAX_AT_ONCE || [...running.values()].some(collides)) await Promise.race(running.keys())
    if (fault.needsProgress) await stalls.progressing(PROGRESS_MS)
    const tally = tallies.get(fault.name) ?? { times: 0, effective: 0 }
    tallies.set(fault.name, tally)
    const injection = injectOne(fault, n, own, tally, stalls, say).finally(() => running.delete(injection))
    running.set(injection, fault)
    await Promise.race([sleep(pause), injection.then(() => sleep(pause))])
  }
  await Promise.all(running.keys())
  return tallies
}

async function injectOne(
  fault: Fault,
  n: number,
  random: Random,
  tally: Tally,
  stalls: StallMeter,
  say: (line: string) => void,
): Promise<void> {
  tally.times++
  let hits = 0
  let counted = false
  let over = stalls.begin(fault.name, ALL)
  say(`fault ${n}, ${fault.name}`)
  try {
    await fault.inject({
      random,
      affects: partitions => {
        over()
        over = stalls.begin(fault.name, partitions)
      },
      hit: times => {
        counted = true
        hits += times
      },
      say: what => say(`fault ${n}, ${fault.name}: ${what}`),
    })
  } finally {
    over()
  }
  if (!counted || hits > 0) tally.effective++
}

/** Every kind comes once before any comes again, and so does every fault of a kind. */
function* dealt(faults: readonly Fault[], random: Random): Generator<Fault, never> {
  const kinds = dealtAnew(
    [...Map.groupBy(faults, f => f.kind).values()].map(kind => dealtAnew(kind, random)),
    random,
  )
  for (const kind of kinds) yield kind.next().value as Fault
  throw new Error('there are no faults')
}

/** All of these, again and again, each time in another order. */
function* dealtAnew<T>(items: readonly T[], random: Random): Generator<T> {
  while (items.length > 0) {
    const left = [...items]
    while (left.length > 0) yield left.splice(random.below(left.length), 1)[0] as T
  }
}
