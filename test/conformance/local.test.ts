import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Topic } from '../../topics/catalog.ts'
import { openLocalLog } from '../../topics/local/log.ts'
import { logConformance, type Opened } from './log.ts'

async function openIn(folder: string, topics: readonly Topic[], age = 0): Promise<Opened> {
  let olderBy = age
  const log = await openLocalLog({ file: join(folder, 'log.db'), topics, now: () => Date.now() + olderBy })
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
  }
}

logConformance('SQLite', topics => openIn(mkdtempSync(join(tmpdir(), 'local-log-')), topics), {
  membership: true,
  restart: true,
  cleaning: true,
  registry: true,
})
