import { syncLog } from '../../../topics/catalog.ts'
import { defineTable, lower, text, time } from './table.ts'

export const syncRuns = defineTable({
  name: 'sync_runs',
  key: ['id'],
  columns: {
    id: text,
    source: text,
    started_at: time,
    ended_at: time,
    outcome: text,
    venues: 'integer',
    changed: 'integer',
    errors: 'integer',
    duration_ms: 'float8',
    reason: text,
    refusals: 'jsonb',
    version: 'bigint',
  },
  from: {
    SyncRun: {
      topics: [syncLog],
      rows: (run, { version }) => ({
        id: run.id,
        source: run.source,
        started_at: run.startedAt,
        ended_at: run.endedAt,
        outcome: lower(run.outcome),
        venues: run.venues,
        changed: run.changed,
        errors: run.errors,
        duration_ms: run.durationMs,
        reason: run.reason,
        refusals: run.refusals,
        version,
      }),
    },
  },
  rebuild: 'replace',
})
