/** The chain of hashes over the audit trail: whoever changes, drops or inserts an event breaks it from there on. */
import { createHash } from 'node:crypto'
import type { AuditEvent } from '../schemas/types.ts'

/** What comes before the first event. */
export const FIRST_HASH: Buffer = Buffer.alloc(32)

/**
 * The hash of an event: SHA-256 of the hash before it and the event's fields in a fixed order.
 * @param previous of the event before it in its partition, 32 bytes
 */
export function auditHash(previous: Buffer, offset: number, event: AuditEvent): Buffer {
  const { id, actor, actorKind, role, action, object, outcome, status, personal, requestId, command, before, after, at } = event
  const fields = [
    offset,
    id,
    actor,
    actorKind,
    role,
    action,
    object,
    outcome,
    status,
    personal,
    requestId,
    command,
    before,
    after,
    at,
  ]
  return createHash('sha256').update(previous).update(JSON.stringify(fields)).digest()
}
