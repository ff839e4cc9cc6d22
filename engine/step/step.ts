/** What goes into the handling of one record, and what comes out of it. */
import type { RecordName } from '../../schemas/types.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Instance } from '../instance.ts'

/** The task that a record is handled in. */
export interface TaskScope {
  /** Identity of the log, topic and partition: what ids are made of. */
  readonly scope: string
  readonly topic: string
  readonly partition: number
  readonly codec: Codec
  readonly codeVersion: string
  /** Identity of the state store: owner of the attempts that this step starts. */
  readonly owner: string
  /** Input of an open attempt, decoded. */
  input(key: string, attempt: string): unknown
  /** The answer to a look-up, in wire format; null if there is none at present. */
  lookup(question: Question): Buffer | null
}

export interface Question {
  readonly key: string
  readonly lookup: string
  /** Offset and count of the question: unique within its partition. */
  readonly by: string
  readonly input: unknown
  /** Of the input. */
  readonly digest: string
}

/** A look-up's answer, for the journal. */
export interface Answer extends Pick<Question, 'key' | 'lookup' | 'by' | 'digest'> {
  readonly value: Buffer
}

export interface Emit {
  readonly topic: string
  readonly key: string
  /** Type and value are null for a deletion of the key. */
  readonly type: RecordName | null
  readonly value: Buffer | null
  readonly headers?: Readonly<Record<string, string>>
}

export interface Performed {
  readonly attempt: string
  readonly effect: string
  readonly name: RecordName
  readonly input: Buffer
}

/**
 * `stale`: about a timer, an attempt or a parked record that is gone. `deferred`: a timer ahead of its log time. `parked_behind`:
 * it waits behind a parked record of its key.
 */
export type StepResult = 'handled' | 'duplicate' | 'stale' | 'deferred' | 'parked_behind' | 'poisoned'

export interface Step {
  readonly instance: Instance
  /** False if nothing of the record is kept: the instance is the one from before, its time included. */
  readonly changed: boolean
  /** Raw Avro of the state that a handler returned; null if none was called, or it returned none. */
  readonly stateBytes: Buffer | null
  readonly emits: readonly Emit[]
  /** Answers to its look-ups: kept even if the handler fails, because a replay calls it again. */
  readonly answers: readonly Answer[]
  /** Attempts recorded: their inputs go into the ledger. */
  readonly performed: readonly Performed[]
  /** Attempts closed: their inputs leave the ledger. */
  readonly closed: readonly string[]
  /** Attempts that are now first of their key, and may run after the commit. */
  readonly started: readonly string[]
  readonly result: StepResult
}
