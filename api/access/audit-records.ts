/** Audit events as records of the log, and those that a journal has and the log does not. */
import type { RecordInputs } from '../../schemas/types.ts'
import { auditLog } from '../../topics/catalog.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Append, Log } from '../../topics/log.ts'
import type { Ends, Leftover } from './journal.ts'

const READ_MS = 5_000

export function auditRecord(codec: Codec, event: RecordInputs['AuditEvent']): Append {
  return { topic: auditLog.name, key: keyOf(event), value: codec.encode(auditLog.name, 'AuditEvent', event) }
}

/** The records of a journal that were not appended to the log before its process ended. */
export async function lostRecords(log: Log, codec: Codec, { ends, values }: Leftover): Promise<Append[]> {
  const appended = await idsSince(log, codec, ends)
  const lost: Append[] = []
  for (const value of values) {
    await codec.prepare([{ value }])
    const decoded = codec.decode(value)
    if (decoded.type !== 'AuditEvent' || appended.has(decoded.value.id)) continue
    lost.push({ topic: auditLog.name, key: keyOf(decoded.value), value })
  }
  return lost
}

/** Ids of the events that the log has at these offsets or later. */
async function idsSince(log: Log, codec: Codec, ends: Ends): Promise<Set<string>> {
  const ids = new Set<string>()
  for (const { partition, low, high } of await log.ends(auditLog.name)) {
    for (let at = ends[partition] ?? low; at < high; ) {
      const { records, next } = await log.read({ topic: auditLog.name, partition }, at, { wait: READ_MS })
      if (next === at) throw new Error(`cannot read ${auditLog.name}/${partition} at offset ${at}`)
      await codec.prepare(records)
      for (const { value } of records) {
        const decoded = value === null ? null : codec.decode(value)
        if (decoded?.type === 'AuditEvent') ids.add(decoded.value.id)
      }
      at = next
    }
  }
  return ids
}

function keyOf({ actor }: Pick<RecordInputs['AuditEvent'], 'actor'>): string {
  return actor === '' ? 'none' : actor
}
