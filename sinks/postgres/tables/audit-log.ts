/** The audit trail: a chain of hashes in the order of the log. */
import type pg from 'pg'
import type { AuditEvent } from '../../../schemas/types.ts'
import { auditHash, FIRST_HASH } from '../../../domain/audit-hash.ts'
import { auditLog as topic } from '../../../topics/catalog.ts'
import { upsert } from '../upsert.ts'
import { defineTable, type Row, type Table, text, time } from './table.ts'

export const auditLog: Table = defineTable({
  name: 'audit_log',
  key: ['log_partition', 'log_offset'],
  columns: {
    log_partition: 'integer',
    log_offset: 'bigint',
    id: text,
    actor: text,
    actor_kind: text,
    role: text,
    action: text,
    object: text,
    outcome: text,
    status: 'integer',
    personal: 'boolean',
    request_id: text,
    command: text,
    before: text,
    after: text,
    at: time,
    previous_hash: 'bytea',
    hash: 'bytea',
  },
  from: {
    AuditEvent: {
      topics: [topic],
      rows: (event, { partition, version }) => ({
        log_partition: partition,
        log_offset: version,
        id: event.id,
        actor: event.actor,
        actor_kind: event.actorKind,
        role: event.role,
        action: event.action,
        object: event.object,
        outcome: event.outcome,
        status: event.status,
        personal: event.personal,
        request_id: event.requestId,
        command: event.command,
        before: event.before,
        after: event.after,
        at: event.at,
        // The chain is made when the rows are written.
        previous_hash: null,
        hash: null,
      }),
    },
  },
  write: async (client, batch) => {
    const partitions = Map.groupBy(batch.rowsOf(auditLog), row => row.log_partition as number)
    for (const [partition, rows] of partitions) await extendChain(client, partition, rows)
    return 0
  },
  // The log drops none of it, and the trigger on the table lets nobody change it.
  rebuild: 'skip',
})

/** Continues the chain after the newest event in the table. Events that are there already come from an earlier attempt. */
async function extendChain(client: pg.ClientBase, partition: number, rows: readonly Row[]): Promise<void> {
  const { rows: newest } = await client.query<{ offset: string; hash: Buffer }>(
    'SELECT log_offset AS offset, hash FROM audit_log WHERE log_partition = $1 ORDER BY log_offset DESC LIMIT 1',
    [partition],
  )
  let previous = newest[0]?.hash ?? FIRST_HASH
  const from = newest[0] === undefined ? 0 : Number(newest[0].offset) + 1
  const chained: Row[] = []
  for (const row of rows) {
    const offset = row.log_offset as number
    if (offset < from) continue
    const hash = auditHash(previous, offset, eventOf(row))
    chained.push({ ...row, previous_hash: previous, hash })
    previous = hash
  }
  await upsert(client, auditLog, chained)
}

function eventOf({ actor_kind: actorKind, request_id: requestId, ...row }: Row): AuditEvent {
  return { ...row, actorKind, requestId } as unknown as AuditEvent
}
