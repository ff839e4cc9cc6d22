/**
 * Errors are control flow by type: each says who has to do something, and carries a stable code.
 *
 *   Migrated   the tasks belong to another member: drop the overlay, join anew
 *   Corrupted  the state in memory may be wrong: drop it, restore
 *   Poison     this record cannot be handled: quarantine
 *   Retryable  not now: the same again later
 *   Fatal      a person has to do something: stop the task
 */
class EngineError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.name = new.target.name
  }
}

export class Migrated extends EngineError {}
export class Corrupted extends EngineError {}
export class Poison extends EngineError {}
export class Retryable extends EngineError {}

/** Schemas of these values, in wire format, have yet to be fetched. */
export class SchemasMissing extends Retryable {
  readonly values: readonly Buffer[]
  constructor(what: string, values: readonly Buffer[]) {
    super('schemas_missing', `the schema of ${what} has not been fetched`)
    this.values = values
  }
}

export class Fatal extends EngineError {}

/** Causes and reasons are for people, and part of records: no longer than this, in characters. */
const MAX_REASON = 1_000

/** A text for people, cut where it is longer than a reason may be. */
export function cut(text: string, length = MAX_REASON): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}

/** What was thrown, in words, whatever it was: anything may be thrown, with a message of any length, or none that can be read. */
export function messageOf(error: unknown): string {
  try {
    const message: unknown = error instanceof Error ? error.message : error
    return cut(typeof message === 'string' ? message : String(message))
  } catch {
    return 'an error that cannot be shown was thrown'
  }
}

/** `instanceof`, for what a stranger has thrown: a proxy may throw at that too. */
export function isA<T extends Error>(error: unknown, type: abstract new (...args: never[]) => T): error is T {
  try {
    return error instanceof type
  } catch {
    return false
  }
}
