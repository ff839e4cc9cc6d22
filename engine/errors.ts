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
export class Fatal extends EngineError {}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
