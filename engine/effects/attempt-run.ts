/** A run of an effect attempt in this process, and how it may end. */
import type { ActorDefinition } from '../actor.ts'
import type { Startable, Task } from '../task.ts'

export interface AttemptRun {
  readonly task: Task
  readonly definition: ActorDefinition
  readonly startable: Startable
  /** Generation in which it was started: in another one, a new owner may have resolved it. */
  readonly generation: number | null
  /** A try that is over, of this run or of an earlier owner's, may have done it. */
  uncertain: boolean
}

/** Why an attempt ended: for people, and as a code if the port gave one. */
export interface Why {
  readonly reason: string
  readonly code: string | null
}

export type EndedAs = 'EXPIRED' | 'RELEASED' | 'NOT_DONE' | 'UNKNOWN'

/** What one try came to. */
export type TryOutcome =
  | { readonly type: 'result'; readonly value: unknown; readonly sent: boolean }
  | { readonly type: 'ended'; readonly outcome: EndedAs; readonly why: Why }
  | { readonly type: 'again'; readonly why: Why; readonly retryAfterMs: number | undefined }

/** A time in messages. */
export function shown(time: number): string {
  return Number.isNaN(new Date(time).valueOf()) ? String(time) : new Date(time).toISOString()
}
