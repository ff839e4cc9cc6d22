/** Every response is in the audit trail, once, whenever the process is killed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { allTopics } from '../../topics/catalog.ts'
import { Codec } from '../../topics/codec.ts'
import { openLocalLog } from '../../topics/local/log.ts'
import { AuditTrail } from './audit-trail.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'audit-kill-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

/** Sends requests on many connections until enough are answered, and kills the process while others are in progress. */
async function askAndKill(life: number, answers: number): Promise<string[]> {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, '../testing/audit-child.ts'), join(dir, 'log.sqlite'), join(dir, 'audit')],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const gone = once(child, 'exit')
  const [first] = (await once(child.stdout, 'data')) as [Buffer]
  const url = String(first).trim()
  const answered: string[] = []
  const asking = Array.from({ length: 20 }, async (_, connection) => {
    for (let n = 0; ; n++) {
      const id = `request-${life}-${connection}-${n}`
      const answer = await fetch(`${url}/persons`, { headers: { 'x-request-id': id } }).catch(() => null)
      if (answer?.status !== 200) return
      answered.push(id)
      if (answered.length === answers) child.kill('SIGKILL')
    }
  })
  await Promise.all(asking)
  expect(await gone).toEqual([null, 'SIGKILL'])
  return answered
}

async function idsInLog(open: boolean): Promise<string[]> {
  const log = await openLocalLog({ file: join(dir, 'log.sqlite'), topics: allTopics() })
  try {
    const codec = await Codec.open(log, allTopics())
    const logger = { error: () => {}, warn: () => {} } as never
    if (open) await (await AuditTrail.open({ log, codec, logger, registry: new Registry(), folder: join(dir, 'audit') })).close()
    const ids: string[] = []
    for (const { partition, low, high } of await log.ends('audit.log')) {
      for (let at = low; at < high; ) {
        const { records, next } = await log.read({ topic: 'audit.log', partition }, at)
        for (const { value } of records) ids.push((codec.decode(value as Buffer).value as { requestId: string }).requestId)
        at = next
      }
    }
    return ids
  } finally {
    await log.close()
  }
}

test('every response sent before a kill is in the trail, once', { timeout: 60_000 }, async () => {
  const answered: string[] = []
  let left = 0
  // Some runs end before anything is appended to the log, some in the middle of an append.
  for (const [life, answers] of [40, 700, 1_500].entries()) {
    answered.push(...(await askAndKill(life, answers)))
    const before = new Set(await idsInLog(false))
    left += answered.filter(id => !before.has(id)).length
    const ids = await idsInLog(true)
    expect(new Set(ids).size).toBe(ids.length)
    expect(answered.filter(id => !ids.includes(id))).toEqual([])
  }
  // Otherwise the test shows nothing: the log must lack some events without the journal.
  expect(left).toBeGreaterThan(0)
})
