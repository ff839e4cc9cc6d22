import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { configFrom } from '../config.ts'
import { serviceOf } from './service.ts'
import { lockFile } from '../topics/lock.ts'

const folder = mkdtempSync(join(tmpdir(), 'main-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it.each(['processors', 'connectors', 'sinks'])(
  'a process of %s on the folder of another is refused, and told whose it is',
  async role => {
    const settings = configFrom({
      DATA_DIR: folder,
      ROLES: role,
      LOG_LEVEL: 'silent',
      KAFKA_BROKERS: '127.0.0.1:1',
      SCHEMA_REGISTRY_URL: 'http://127.0.0.1:1',
      DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none',
    })
    const lock = lockFile(join(folder, 'instance.lock'))
    try {
      const starting = serviceOf(settings, () => {}).start()
      await expect(starting).rejects.toMatchObject({
        code: 'locked',
        message: expect.stringMatching(
          /instance\.lock is locked by .*process \d+ .*: stop it, or give this process another folder/,
        ),
      })
    } finally {
      lock.release()
    }
  },
)
