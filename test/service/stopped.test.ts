/** A halted task, on the running service: what shows it, and how a person gets it going again. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { conversationInbox } from '../../topics/catalog.ts'
import { openLocalLog } from '../../topics/local/log.ts'
import type { Position } from '../../topics/log.ts'
import { CONTACT, type Service, startService, until } from './harness.ts'

const FUTURE = { type: 'record', name: 'OfLaterCode', namespace: 'bma.conversation', fields: [{ name: 'n', type: 'int' }] }
const root = join(import.meta.dirname, '../..')

describe.skipIf(process.env.BMA_TEST_LOG === 'kafka')('a record that only later code knows', () => {
  let service: Service
  /** Where the record is. */
  let at: number
  let partition: number
  let NAME: string

  beforeAll(async () => {
    service = await startService()
    await service.say(CONTACT, 'hello')
    await service.terminate()
    ;({ partition, offset: at } = await appended())
    NAME = `${conversationInbox.name}/${partition}`
    await service.start()
  })
  afterAll(() => service?.close())

  /** Puts two records of later code behind what somebody has written, on the stopped service's log; returns where the first is. */
  async function appended() {
    const { name: topic } = conversationInbox
    const log = await openLocalLog({ file: join(service.folder, 'data', 'log.sqlite'), topics: [] })
    try {
      const used = (await log.ends(topic)).find(({ high }) => high > 0)
      const id = await log.register(`${topic}-OfLaterCode`, JSON.stringify(FUTURE))
      const value = Buffer.alloc(6)
      value.writeUInt32BE(id, 1)
      const [first] = await log.append([1, 2].map(() => ({ topic, partition: used?.partition, key: 'main:c', value })))
      return first as Position
    } finally {
      await log.close()
    }
  }

  async function run(...args: string[]): Promise<{ code: number; said: string }> {
    const env = { ...process.env, ADMIN_TOKEN: 'an-invented-admin-token-of-the-tests', DATA_DIR: join(service.folder, 'data') }
    const done = promisify(execFile)(process.execPath, ['cli/log.ts', ...args, '--url', service.url], { cwd: root, env })
    return done.then(
      ({ stdout }) => ({ code: 0, said: stdout }),
      ({ code, stdout, stderr }) => ({ code, said: stdout + stderr }),
    )
  }

  const readiness = async () => {
    const response = await fetch(`${service.url}/readyz`)
    const { dependencies } = (await response.json()) as { dependencies: Record<string, { status: string; detail: string }> }
    return { status: response.status, worker: dependencies.processors }
  }
  const metric = async (name: string) => {
    const text = await (await fetch(`${service.url}/metrics`)).text()
    return text
      .split('\n')
      .find(line => line.startsWith(`${name}{`) && line.includes('"conversation"') && line.includes(`"${partition}"`))
  }

  it('stops its task and no other: shown by /readyz and /metrics, while the rest of the service works', async () => {
    const shown = await until(async () => {
      const { worker } = await readiness()
      return worker?.detail.includes('halted: ') ? worker : null
    }, 5_000)
    expect(shown).toMatchObject({
      status: 'degraded',
      detail: expect.stringContaining(`${NAME} halted: ${NAME} offset ${at}`),
    })
    expect((await readiness()).status).toBe(200)
    expect(await metric('app_task_stopped')).toMatch(/ 1$/)
    expect((await fetch(`${service.url}/healthz`)).status).toBe(200)
  })

  it('is told by `npm run log`, with what to type', async () => {
    const { code, said } = await run('status')
    expect(code).toBe(1)
    expect(said).toContain(`is ready\n  processors`)
    expect(said).toMatch(new RegExp(`${NAME} +STOPPED +${at} +\\d+ +\\d+\n +stopped: .*OfLaterCode`))
    expect(said).toContain(`npm run log -- accept ${NAME} --from ${at + 1}`)
  })

  it('is halted again when it is only resumed', { timeout: 30_000 }, async () => {
    const { code, said } = await run('resume', NAME, '--reason', 'to try')
    expect(code).toBe(1)
    expect(said).toContain('does not run yet')
    expect(said).toMatch(/decided .* by admin-token: resume \(to try\)/)
  })

  it('is left out by accepting the offset behind it; what is before the end is looked at like any other', {
    timeout: 30_000,
  }, async () => {
    const one = await run('accept', NAME, '--from', String(at + 1))
    expect([one.code, one.said]).toEqual([1, expect.stringContaining(`${NAME} offset ${at + 1}: `)])
    const { code, said } = await run('accept', NAME, '--from', String(at + 2), '--reason', 'of a trial')
    expect([code, said]).toEqual([0, expect.stringMatching(`${NAME} runs: next offset \\d+`)])
    expect((await readiness()).worker).toMatchObject({ status: 'up' })
    expect(await metric('app_task_stopped')).toMatch(/ 0$/)
    expect((await run('status')).code).toBe(0)
  })

  it('is refused what makes no sense, with the reason', { timeout: 30_000 }, async () => {
    expect(await run('resume', NAME)).toEqual({ code: 2, said: expect.stringContaining('is not halted: it is RUNNING') })
    expect(await run('resume', 'venue.inbox/99')).toEqual({ code: 2, said: expect.stringContaining('has no partition 99') })
  })

  it('leaves who decided what, and why, in the audit trail', async () => {
    const { body } = await service.get('/api/v1/audit?action=tasks.decide')
    expect(body.items.find((e: { after: string | null }) => e.after?.includes('of a trial'))).toMatchObject({
      actor: 'admin-token',
      object: NAME,
      after: `accept from ${at + 2}: of a trial`,
    })
  })

  it('does not come back when the service is started anew', { timeout: 60_000 }, async () => {
    expect(await service.terminate()).toBe(0)
    await service.start()
    await until(async () => (await readiness()).worker?.status === 'up')
    const { code } = await run('status')
    expect(code).toBe(0)
  })
})
