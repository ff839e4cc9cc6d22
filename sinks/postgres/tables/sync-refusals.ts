/** What a synchronisation could not read, in pages. */
import { syncLog } from '../../../topics/catalog.ts'
import { defineTable, text, time } from './table.ts'

export const syncRefusals = defineTable({
  name: 'sync_refusals',
  key: ['run_id', 'page'],
  columns: { run_id: text, page: 'integer', at: time, refusals: 'jsonb', version: 'bigint' },
  from: {
    SyncRefusals: {
      topics: [syncLog],
      rows: ({ run, page, at, refusals }, { version }) => ({ run_id: run, page, at, refusals, version }),
    },
  },
  rebuild: 'replace',
})
