import { syncLog } from '../../../topics/catalog.ts'
import { defineTable, lower, timeText } from './table.ts'

export const syncRuns = defineTable({
  name: 'sync_runs',
  columns: ['run_id', 'source', 'outcome', 'venues', 'changed', 'errors', 'duration_ms', 'started_at', 'ended_at'],
  from: {
    SyncRun: {
      topics: [syncLog],
      rows: run => ({
        run_id: run.id,
        source: run.source,
        outcome: lower(run.outcome),
        venues: Math.max(run.venues, 0),
        changed: Math.max(run.changed, 0),
        errors: Math.max(run.errors, 0),
        duration_ms: Number.isFinite(run.durationMs) ? run.durationMs : 0,
        started_at: timeText(run.startedAt),
        ended_at: timeText(run.endedAt),
      }),
    },
  },
})
