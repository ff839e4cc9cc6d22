/** What the tasks of a worker are given. */
import type { Codec } from '../../topics/codec.ts'
import type { Log, Membership } from '../../topics/log.ts'
import type { ActorDefinition } from '../actor.ts'
import type { Clock } from '../clock.ts'
import { Fatal } from '../errors.ts'
import type { CacheBudget } from '../generational-cache.ts'
import type { LookupsOf } from '../lookups.ts'
import type { StateStore, StateStores } from '../store.ts'
import type { Task } from '../task.ts'

export interface TasksSettings {
  readonly log: Log
  readonly codec: Codec
  /** Answers to look-ups, by actor and name. */
  readonly lookups: Readonly<Record<string, LookupsOf>>
  readonly actors: readonly ActorDefinition[]
  readonly openStore: (actor: string, partition: number) => Promise<StateStore>
  readonly stores: Pick<StateStores, 'list' | 'drop'> | null
  readonly codeVersion: string
  readonly clock: Clock
  readonly random: () => number
  readonly cache: CacheBudget
  readonly maxCheckpointAge: number
  readonly newId: () => string
  readonly onError: (what: string, error: unknown) => void
  readonly onLost: (error: Error) => void
  readonly joined: Promise<Membership>
  /** Fences earlier producers, between two cycles. */
  readonly fence: () => Promise<void>
  /** Resolves once the transaction that is on its way has ended. */
  readonly committed: () => Promise<unknown>
  /** A task runs from now on; `since` is when it was assigned, monotonic ms. */
  readonly restored: (task: Task, since: number) => void
}

/** Only another process can recover from the loss of this one's stores. */
export function reportLoss({ onLost }: Pick<TasksSettings, 'onLost'>, error: unknown): void {
  if (error instanceof Fatal && error.code === 'store') onLost(error)
}
