/** What a fault is, and in which order they strike: round by round every kind once, several at a time where they do not collide. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KafkaLog } from '../../../topics/kafka/log.ts'
import { Random } from '../../simulation/scheduler.ts'
import type { Broker } from '../../stack/stack.ts'
import type { Fleet, Machine } from '../fleet.ts'
import type { Load } from '../load.ts'
import type { BrokerProxy } from '../proxy.ts'
import type { NewerWriter, RegistryProxy } from '../registry.ts'
import { ALL, type Standstill } from '../standstill.ts'
import type { SmallDisk } from '../small-disk.ts'

/** What faults strike. */
export interface World {
  readonly proxy: BrokerProxy
  readonly broker: Broker
  readonly fleet: Fleet
  readonly log: KafkaLog
  readonly load: Load
  readonly registry: RegistryProxy
  readonly newer: NewerWriter
  readonly machines: readonly [Machine, Machine]
  /** Under the second machine; null where none can be made. */
  readonly disk: SmallDisk | null
}

export interface Fault {
  readonly kind: string
  readonly name: string
  /** Two that hold the same do not strike at the same time. */
  readonly holds?: readonly string[]
  /** It strikes what goes on: there is nothing to strike while all come back from another. */
  readonly inMotion?: boolean
  strike(stroke: Stroke): Promise<void>
}

/** One time that a fault strikes. */
export interface Stroke {
  /** Of its own, so that what is drawn does not hang on what else goes on. */
  readonly random: Random
  /** Only these partitions of the inbox are concerned; all of them unless this is said. */
  concerns(partitions: ReadonlySet<number>): void
  /** So many requests or answers were struck. */
  hit(times: number): void
  /** What exactly it is this time. */
  say(what: string): void
}

export interface Tally {
  times: number
  /** Those of them that struck something. */
  struck: number
}

export interface Strikes {
  readonly seed: number
  readonly count: number
  readonly faults: readonly Fault[]
  readonly standstill: Standstill
  readonly say: (line: string) => void
}

const AT_ONCE = 3
const MOTION_MS = 20_000

/** Strikes until all that were drawn have passed. @returns how often each has struck, by name */
export async function strikeAll({ seed, count, faults, standstill, say }: Strikes): Promise<ReadonlyMap<string, Tally>> {
  const random = new Random(seed)
  const deck = dealt(faults, random)
  const tallies = new Map<string, Tally>()
  const striking = new Map<Promise<void>, Fault>()
  for (let n = 1; n <= count; n++) {
    const fault = deck.next().value as Fault
    const pause = 200 + random.below(1_500)
    const own = new Random(seed * 1_000_003 + n)
    const collides = (other: Fault) => other.holds?.some(held => fault.holds?.includes(held)) ?? false
    while (striking.size >= AT_ONCE || [...striking.values()].some(collides)) await Promise.race(striking.keys())
    if (fault.inMotion) await standstill.moving(MOTION_MS)
    const tally = tallies.get(fault.name) ?? { times: 0, struck: 0 }
    tallies.set(fault.name, tally)
    const stroke = strikeOne(fault, n, own, tally, standstill, say).finally(() => striking.delete(stroke))
    striking.set(stroke, fault)
    await Promise.race([sleep(pause), stroke.then(() => sleep(pause))])
  }
  await Promise.all(striking.keys())
  return tallies
}

async function strikeOne(
  fault: Fault,
  n: number,
  random: Random,
  tally: Tally,
  standstill: Standstill,
  say: (line: string) => void,
): Promise<void> {
  tally.times++
  let hits = 0
  let counted = false
  let over = standstill.begin(fault.name, ALL)
  say(`fault ${n}, ${fault.name}`)
  try {
    await fault.strike({
      random,
      concerns: partitions => {
        over()
        over = standstill.begin(fault.name, partitions)
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
  if (!counted || hits > 0) tally.struck++
}

/** Every kind comes once before any comes again, and so does each of a kind. */
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
