/** What a worker is given, and what it says of itself. */
import { randomUUID } from 'node:crypto'
import type { Codec } from '../../topics/codec.ts'
import type { Assignment, Log } from '../../topics/log.ts'
import type { ActorDefinition, Port } from '../actor.ts'
import { type Clock, systemClock } from '../clock.ts'
import { CacheBudget } from '../generational-cache.ts'
import type { LookupsOf } from '../lookups.ts'
import type { StateStore, StateStores } from '../store.ts'
import type { TaskStatus } from '../tasks/assigned-tasks.ts'

export interface WorkerSettings {
  readonly log: Log
  readonly codec: Codec
  readonly actors: readonly ActorDefinition[]
  /** Ports by actor and effect. */
  readonly ports: Readonly<Record<string, Readonly<Record<string, Port>>>>
  /** Answers to look-ups, by actor and name. */
  readonly lookups?: Readonly<Record<string, LookupsOf>>
  /** One group per role: every member names the same actors. */
  readonly group: string
  /** A name of this worker that it keeps over restarts. */
  readonly instance: string
  readonly openStore: (actor: string, partition: number) => Promise<StateStore>
  /** All stores of the folder, so that those of tasks which live elsewhere can be removed; null: they are kept. */
  readonly stores?: Pick<StateStores, 'list' | 'drop'> | null
  readonly codeVersion: string
  readonly clock?: Clock
  /** Most records of one poll. */
  readonly maxRecords?: number
  /** Bytes that one transaction holds, approximately; by default as many as suit the log. */
  readonly transactionBytes?: number
  /** Memory for decoded actors, which the workers of a process share; by default one of its own. */
  readonly cache?: CacheBudget
  /** Checkpoints older than this are not trusted, ms. */
  readonly maxCheckpointAge?: number
  readonly newId?: () => string
  /** Numbers from 0 to below 1, for pauses. */
  readonly random?: () => number
  readonly onError?: (what: string, error: unknown) => void
  /** Called if this process has lost something that only another one can recover: its state stores. */
  readonly onLost?: (error: Error) => void
  /** Called with each new assignment. */
  readonly onAssigned?: (assignment: Assignment) => void
  /** Called after each committed transaction: how many records, how long the commit took in ms. */
  readonly onCommit?: (records: number, ms: number) => void
}

export interface WorkerStatus {
  /** False until the group has assigned it its tasks, which may be none. */
  readonly assigned: boolean
  /** All tasks assigned to it, those still to be opened or restored included. */
  readonly tasks: readonly TaskStatus[]
  /** Effects that are running. */
  readonly effects: number
  /** Since the last cycle that succeeded, ms. */
  readonly cycleAgeMs: number
  /** Why its cycles fail; null while they succeed. */
  readonly failing: string | null
}

const CACHE_BYTES = 64 * 1024 * 1024
const MAX_RECORDS = 5_000
const MAX_CHECKPOINT_AGE_MS = 12 * 60 * 60 * 1000

/** @throws if two of its actors have the same inbox: a group commits one position per partition */
export function withDefaults(settings: WorkerSettings): Required<WorkerSettings> {
  const readers = new Map<string, string>()
  for (const { name, inbox } of settings.actors) {
    const other = readers.get(inbox.name)
    if (other !== undefined)
      throw new Error(`"${name}" and "${other}" both read ${inbox.name}: run them in workers of different groups`)
    readers.set(inbox.name, name)
  }
  return {
    clock: systemClock,
    stores: null,
    lookups: {},
    maxRecords: MAX_RECORDS,
    transactionBytes: settings.log.transactionBytes,
    cache: new CacheBudget(CACHE_BYTES),
    maxCheckpointAge: MAX_CHECKPOINT_AGE_MS,
    newId: randomUUID,
    random: Math.random,
    onError: () => {},
    onLost: () => {},
    onAssigned: () => {},
    onCommit: () => {},
    ...settings,
  }
}
