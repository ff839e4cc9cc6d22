/**
 * Errors are control flow by type: each says what must be done, and carries a stable code.
 *
 *   Corrupted  the state in memory may be wrong: drop it, restore
 *   Poison     this record cannot be handled: quarantine it
 *   Retryable  not now: try again later
 *   Fatal      a person must do something: halt the task
 */
import { cut as cutTo } from '../domain/text.ts'

class EngineError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.name = new.target.name
  }
}

export class Corrupted extends EngineError {}
export class Poison extends EngineError {}
export class Retryable extends EngineError {}

/** The schemas of these values, in wire format, have not been fetched yet. */
export class SchemasMissing extends Retryable {
  readonly values: readonly Buffer[]
  constructor(what: string, values: readonly Buffer[]) {
    super('schemas_missing', `the schema of ${what} has not been fetched`)
    this.values = values
  }
}

export class Fatal extends EngineError {}

/** Longest cause or reason: they are for people, and part of records. */
const MAX_REASON_CHARS = 1_000

/** A text for people, cut to the length of a reason. */
export function cut(text: string, length = MAX_REASON_CHARS): string {
  return cutTo(text, length)
}

/** The message of whatever was thrown: it may be anything, with a message of any length, or one that cannot be read. */
export function messageOf(error: unknown): string {
  try {
    const message: unknown = error instanceof Error ? error.message : error
    return cut(typeof message === 'string' ? message : String(message))
  } catch {
    return 'an error that cannot be shown was thrown'
  }
}

/** `instanceof` for values thrown by other code: a proxy may throw even at that. */
export function isA<T extends Error>(error: unknown, type: abstract new (...args: never[]) => T): error is T {
  try {
    return error instanceof type
  } catch {
    return false
  }
}
