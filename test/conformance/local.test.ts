import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Topic } from '../../topics/catalog.ts'
import { openLocalLog } from '../../topics/local/log.ts'
import { logConformance, type Opened } from './log.ts'

const WEEK = 7 * 24 * 60 * 60 * 1000

async function openIn(folder: string, topics: readonly Topic[], age = 0): Promise<Opened> {
  let olderBy = age
  const file = join(folder, 'log.db')
  const log = await openLocalLog({ file, topics, now: () => Date.now() + olderBy })
  return {
    log,
    registry: log,
    reopen: async () => {
      await log.close()
      return openIn(folder, topics, olderBy)
    },
    close: async () => {
      await log.close()
      rmSync(folder, { recursive: true, force: true })
    },
    clean: async ms => {
      olderBy += ms
      await log.retain()
      await log.compact()
    },
    expire: async () => {
      olderBy += WEEK + 1
      await log.retain()
    },
    damage: async ({ topic, partition, offset }) => {
      await log.close()
      const database = new DatabaseSync(file)
      const { changes } = database
        .prepare(
          `UPDATE batches SET records = zeroblob(length(records)) WHERE ? BETWEEN base_offset AND last_offset
             AND partition_id = (SELECT id FROM partitions WHERE topic = ? AND partition = ?)`,
        )
        .run(offset, topic, partition)
      database.close()
      if (changes !== 1) throw new Error(`${changes} batches hold offset ${offset} of ${topic}/${partition}`)
      return openIn(folder, topics, olderBy)
    },
  }
}

logConformance('SQLite', topics => openIn(mkdtempSync(join(tmpdir(), 'local-log-')), topics), {
  membership: true,
  restart: true,
  cleaning: true,
  expiring: true,
  damaging: true,
  registry: true,
})
