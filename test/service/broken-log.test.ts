/** A disk that fails once: the log cannot be trusted with more, and the process ends, to be started anew. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { CONTACT, startService, until } from './harness.ts'

/** Commits of this process fail half-way, as after a failed sync, while the file is there. */
const failing = (file: string) => `
  import { existsSync } from 'node:fs'
  import { DatabaseSync, StatementSync } from 'node:sqlite'
  const fail = sql => {
    if (!/^COMMIT/.test(sql) || !existsSync(${JSON.stringify(file)})) return
    throw Object.assign(new Error('disk I/O error'), { code: 'ERR_SQLITE_ERROR', errcode: 1034 })
  }
  const { run } = StatementSync.prototype
  StatementSync.prototype.run = function (...values) {
    fail(this.sourceSQL)
    return run.apply(this, values)
  }
  const { exec } = DatabaseSync.prototype
  DatabaseSync.prototype.exec = function (sql) {
    fail(sql)
    return exec.call(this, sql)
  }
`

it.skipIf(process.env.BMA_TEST_LOG === 'kafka')(
  'a failed sync ends the process, which says why; started anew it goes on',
  { timeout: 120_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'broken-log-'))
    const [preload, flag] = [join(folder, 'preload.mjs'), join(folder, 'fails')]
    writeFileSync(preload, failing(flag))
    const service = await startService({ env: { NODE_OPTIONS: `--import=${pathToFileURL(preload)}`, LOG_LEVEL: 'error' } })
    try {
      await service.say(CONTACT, 'hello')
      const ended = service.ended()
      writeFileSync(flag, '')
      const began = Date.now()
      const sent = await service.whatsapp.deliver({ ...CONTACT, text: 'hello again' }).catch(() => null)
      // What was not taken is not acknowledged, whether or not the answer came before the end.
      if (sent !== null) expect(sent.answers).toEqual([503])
      expect(await ended).toBe(1)
      expect(Date.now() - began).toBeLessThan(10_000)
      expect(service.output).toMatch(/"level":60.*disk I\/O error.*the log closed itself: stopping, to be started anew/)
      rmSync(flag)
      await service.start()
      await service.whatsapp.deliver({ ...CONTACT, text: 'hello again' })
      await until(async () => {
        const { messages } = await service.conversation(CONTACT)
        return messages.some((m: { text: string }) => m.text === 'hello again')
      })
    } finally {
      await service.close()
      rmSync(folder, { recursive: true, force: true })
    }
  },
)
