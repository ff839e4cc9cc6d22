/** What a task is made of, and what the log says of it once it is restored. */
import type { TaskInbox } from '../../schemas/types.ts'
import type { Topic } from '../../topics/catalog.ts'
import type { Codec } from '../../topics/codec.ts'
import type { ActorDefinition } from '../actor.ts'
import type { CacheBudget } from '../generational-cache.ts'
import type { Question } from '../step/step.ts'
import type { StateStore } from '../store.ts'
import type { Written } from './changelog-writer.ts'

export interface TaskSettings {
  readonly definition: ActorDefinition
  readonly changelog: Topic
  readonly partition: number
  readonly codec: Codec
  readonly store: StateStore
  readonly codeVersion: string
  /** Memory for decoded actors, which all tasks of the process share. */
  readonly cache: CacheBudget
  /** The answer to a look-up, in wire format; null if there is none at present. Never throws. */
  readonly lookup: (question: Question) => Buffer | null
}

/** Why a task is stopped, and under which code. */
export interface Stop {
  readonly codeVersion: string
  readonly cause: string
}

export interface Restored extends Written {
  readonly position: number
  readonly changelogNext: number
  readonly logId: string
  readonly inbox: TaskInbox
  readonly stop: Stop | null
  /** A person has decided where it continues: to be committed even if no record comes. */
  readonly unsettled: boolean
  /** The changelog has lost what followed: attempts that its state holds open may have been done and closed since. */
  readonly givenUp: boolean
}
