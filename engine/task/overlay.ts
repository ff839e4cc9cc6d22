/**
 * What one transaction does to a task; dropped if the transaction fails. While one is on its way to the log, the next is folded on top
 * of it; if the first fails, both are dropped.
 */
import type { Append } from '../../topics/log.ts'
import type { Instance } from '../instance.ts'

export interface Touched {
  readonly before: Instance | null
  after: Instance
  /** Raw Avro of its state, if a handler has made it. */
  stateBytes: Buffer | null
  /** Raw Avro of `after`, once sealed; null if nothing is kept of the actor. */
  raw: Buffer | null
}

export interface Overlay {
  readonly touched: Map<string, Touched>
  readonly appends: Append[]
  /** Inputs of attempts, by `inputKey`; null removes one. */
  readonly inputs: Map<string, Buffer | null>
  /** Keys by the attempt that may start after the commit. */
  readonly started: Map<string, string>
  readonly closed: string[]
  readonly deferred: { readonly timer: string; readonly inMs: number }[]
  /** Next offset of the inbox to handle after it. */
  next: number
  /** It has taken records of which nothing is kept. */
  passed: boolean
  /** Commit it although it has taken nothing that is kept. */
  passes: boolean
  /** Why the task stops after it. */
  stop: { readonly codeVersion: string; readonly cause: string; readonly at: number } | null
}

export function newOverlay(next: number): Overlay {
  return {
    touched: new Map(),
    appends: [],
    inputs: new Map(),
    started: new Map(),
    closed: [],
    deferred: [],
    next,
    passed: false,
    passes: false,
    stop: null,
  }
}
