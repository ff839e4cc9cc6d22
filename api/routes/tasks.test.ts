import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { reserved } from '../../engine/changelog.ts'
import type { TaskStatus, WorkerStatus } from '../../engine/worker.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../sinks/postgres/embedded.ts'
import { migrate } from '../../sinks/postgres/migrate.ts'
import { openPool } from '../../sinks/postgres/pool.ts'
import type { TestLog } from '../../sinks/testing/log.ts'
import { allTopics, auditLog, changelog, venueInbox } from '../../topics/catalog.ts'
import { Codec } from '../../topics/codec.ts'
import { type LocalLog, openLocalLog } from '../../topics/local/log.ts'
import { type Assignment, LogError } from '../../topics/log.ts'
import { type ApiServer, startApi } from '../server.ts'
import { send, testOptions, tokenFor } from '../testing/client.ts'

const quiet = { info: () => {}, warn: () => {} }
const venueLog = changelog('venue', venueInbox)
const topics = [...allTopics(), venueLog]
const AT = Date.UTC(2026, 4, 1)
let folder: string
let server: EmbeddedPostgres
let pool: pg.Pool
let log: LocalLog
let codec: Codec
let api: ApiServer
/** Status of the tasks of this process's worker, by partition. */
let here: Map<number, Partial<TaskStatus>>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tasks-'))
  server = await startEmbeddedPostgres({ dataDir: folder, log: quiet })
  pool = openPool({ url: server.url, log: quiet, statementTimeoutMs: 5_000 })
  await migrate(pool)
})

afterAll(async () => {
  await pool.end()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

let number = 0
beforeEach(async () => {
  log = await openLocalLog({ file: join(folder, `${number++}.sqlite`), topics })
  codec = await Codec.open(log, topics)
  here = new Map()
  api = await startApi({
    ...testOptions({ codec } as TestLog, pool),
    log,
    actors: [{ name: 'venue', inbox: venueInbox.name, changelog: venueLog.name, group: 'bma.processors' }],
    workers: { processors: status },
  })
})

afterEach(async () => {
  await api.close()
  await log.close()
})

function status(): WorkerStatus {
  const fine = { topic: venueInbox.name, actor: 'venue', state: 'RUNNING', position: 0, stopped: null, waits: null } as const
  const tasks = [...here].map(([partition, more]) => ({ ...fine, partition, ...more }))
  return { assigned: true, tasks, effects: 0, cycleAgeMs: 0, failing: null }
}
const stopped = (cause: string): Partial<TaskStatus> => ({ state: 'STOPPED', stopped: cause })

/** Records on a partition of the inbox. */
async function arrive(partition: number, records: number): Promise<void> {
  const value = codec.encode(venueInbox.name, 'VenueRefresh', { id: 'r', by: 'x', at: AT })
  await log.append(Array.from({ length: records }, () => ({ topic: venueInbox.name, partition, key: 'main:v1', value })))
}

/** A transaction of a worker in another process: its position, and that it has halted. */
async function elsewhere(partition: number, next: number, stop: string | null): Promise<void> {
  let given: Assignment | null = null
  const member = await log.join({
    group: 'bma.processors',
    instance: 'elsewhere',
    topics: [venueInbox.name],
    revoked: async () => {},
    assigned: assignment => {
      given = assignment
    },
  })
  const transaction = member.begin(given as unknown as Assignment)
  const put = (key: string, value: Buffer) => transaction.append({ topic: venueLog.name, partition, key, value })
  put(reserved.position, codec.encode(venueLog.name, 'TaskPosition', { next }))
  if (stop !== null) put(reserved.stop, codec.encode(venueLog.name, 'TaskStop', { codeVersion: 'v1', cause: stop, at: AT }))
  transaction.offsets([{ topic: venueInbox.name, partition, offset: next }])
  await transaction.commit()
  await member.leave()
}

const list = async (query = '') => (await send('GET', `${api.url}/api/v1/tasks${query}`)).body
const task = async (partition: number) => {
  const { items } = await list('?limit=200')
  return items.find((t: { partition: number }) => t.partition === partition)
}
const decide = (where: string, body: object, options: { token?: string; headers?: Record<string, string> } = {}) =>
  send('POST', `${api.url}/api/v1/tasks/${where}/decisions`, { body, ...options })

/** Decisions on the changelog, in order. */
async function decisions() {
  const found: { partition: number; id: string; [name: string]: unknown }[] = []
  for (const { partition, high } of await log.ends(venueLog.name)) {
    if (high === 0) continue
    for (const { key, value } of (await log.read({ topic: venueLog.name, partition }, 0)).records) {
      if (key !== reserved.decision) continue
      const decoded = codec.decode(value as Buffer)
      if (decoded.type === 'TaskDecision') found.push({ partition, ...decoded.value })
    }
  }
  return found
}

describe('the list of tasks', () => {
  it('shows tasks of this process as their worker does, with the start and end of the inbox', async () => {
    await arrive(1, 3)
    here.set(1, { position: 2 }).set(2, { state: 'RESTORING', waits: 'the log does not answer' })
    const { items, next } = await list()
    expect(next).toBeNull()
    expect(items).toEqual([
      {
        actor: 'venue',
        inbox: 'venue.inbox',
        partition: 1,
        state: 'RUNNING',
        worker: 'processors',
        position: 2,
        first: 0,
        end: 3,
        stopped: null,
        waits: null,
        decision: null,
      },
      expect.objectContaining({ partition: 2, state: 'RESTORING', position: null, waits: 'the log does not answer' }),
    ])
  })

  it('shows tasks of other processes from the log: position, halt and decision', async () => {
    await arrive(3, 9)
    await elsewhere(3, 4, null)
    expect(await task(3)).toMatchObject({ state: 'UNKNOWN', worker: null, position: 4, end: 9, stopped: null, decision: null })
    await elsewhere(3, 5, '21 keys failed')
    expect(await task(3)).toMatchObject({
      state: 'STOPPED',
      position: 5,
      stopped: { cause: '21 keys failed', at: '2026-05-01T00:00:00.000Z', codeVersion: 'v1' },
    })
    expect((await decide('venue.inbox/3', { action: 'resume', reason: 'mended' })).status).toBe(202)
    expect(await task(3)).toMatchObject({
      state: 'UNKNOWN',
      stopped: null,
      decision: { action: 'resume', offset: null, by: 'admin-token', reason: 'mended' },
    })
    await elsewhere(3, 6, null)
    expect(await task(3)).toMatchObject({ state: 'UNKNOWN', position: 6, stopped: null, decision: null })
  })

  it('finds a halt before many decisions', async () => {
    await elsewhere(3, 0, 'poison')
    here.set(3, stopped('poison'))
    for (let n = 0; n < 40; n++) await decide('venue.inbox/3', { action: 'resume' })
    expect(await task(3)).toMatchObject({ stopped: { cause: 'poison' }, decision: { action: 'resume' } })
  })

  it('comes in pages', async () => {
    for (let n = 0; n < 5; n++) here.set(n, {})
    const first = await list('?limit=3')
    const second = await list(`?limit=3&cursor=${first.next}`)
    expect([...first.items, ...second.items].map((t: { partition: number }) => t.partition)).toEqual([0, 1, 2, 3, 4])
    expect(second.next).toBeNull()
    expect((await send('GET', `${api.url}/api/v1/tasks?cursor=x`)).status).toBe(400)
  })

  it('is for admin and ops', async () => {
    for (const role of ['admin', 'ops', 'agent', 'staff', 'analyst'] as const) {
      const token = await tokenFor({ role, ...(role === 'staff' ? { venues: ['main:v1'] } : {}) })
      const read = await send('GET', `${api.url}/api/v1/tasks`, { token })
      const written = await decide('venue.inbox/0', { action: 'resume' }, { token })
      expect([role, read.status, written.status === 403]).toEqual(
        role === 'admin' || role === 'ops' ? [role, 200, false] : [role, 403, true],
      )
    }
    const ofSome = await tokenFor({ role: 'admin', venues: ['main:v1'] })
    expect((await decide('venue.inbox/0', { action: 'resume' }, { token: ofSome })).status).toBe(403)
  })
})

describe('a decision', () => {
  it.each([
    [{ action: 'resume' }, { action: 'RESUME', offset: -1, reason: '' }],
    [
      { action: 'accept', offset: 5, reason: 'the rest is in the archive' },
      { action: 'ACCEPT', offset: 5 },
    ],
    [
      { action: 'accept', offset: 0 },
      { action: 'ACCEPT', offset: 0 },
    ],
    [{ action: 'rebuild' }, { action: 'REBUILD', offset: -1 }],
  ])('%j is a record of the changelog of the task, under its id', async (body, record) => {
    await arrive(4, 5)
    here.set(4, stopped('unknown record'))
    const { reason: _, ...said } = body as { reason?: string }
    const began = Date.now()
    const { status, body: told } = await decide('venue.inbox/4', body)
    expect(status).toBe(202)
    expect(told).toEqual({ id: told.id, inbox: 'venue.inbox', partition: 4, offset: null, ...said })
    const [decision] = await decisions()
    expect(decision).toMatchObject({ partition: 4, id: told.id, by: 'admin-token', ...record })
    expect(decision?.at).toBeGreaterThanOrEqual(began)
    expect(await task(4)).toMatchObject({ state: 'STOPPED', decision: { id: told.id } })
  })

  it('is in the audit trail: who, what, why', async () => {
    await arrive(4, 5)
    here.set(4, stopped('x'))
    const { body } = await decide('venue.inbox/4', { action: 'accept', offset: 3, reason: 'asked for' })
    const events = async () => {
      const { records } = await log.read({ topic: auditLog.name, partition: 0 }, 0, { wait: 100 })
      return records.map(({ value }) => codec.decode(value as Buffer).value)
    }
    await expect.poll(events).toContainEqual(
      expect.objectContaining({
        actor: 'admin-token',
        action: 'tasks.decide',
        object: 'venue.inbox/4',
        command: body.id,
        after: 'accept from 3: asked for',
        outcome: 'accepted',
        status: 202,
      }),
    )
  })

  it.each([
    [{ action: 'accept' }, /requires `offset`/],
    [{ action: 'accept', offset: -1 }, /-1 is not a valid offset/],
    [{ action: 'accept', offset: 6 }, /cannot continue at offset 6: venue.inbox\/4 allows 0 to 5/],
    [{ action: 'resume', offset: 3 }, /resume takes no offset/],
  ])('%j is 422, and nothing is decided', async (body, why) => {
    await arrive(4, 5)
    here.set(4, stopped('x'))
    const answer = await decide('venue.inbox/4', body)
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_offset', detail: expect.stringMatching(why) } })
    expect(await decisions()).toEqual([])
  })

  it('of another form is 400', async () => {
    for (const body of [{}, { action: 'forget' }, { action: 'resume', more: 1 }, { action: 'accept', offset: '3x' }])
      expect((await decide('venue.inbox/4', body)).status).toBe(400)
    expect((await decide('venue.inbox/-1', { action: 'resume' })).status).toBe(400)
  })

  it('on a task that does not exist is 404', async () => {
    expect(await decide('nothing.inbox/0', { action: 'resume' })).toMatchObject({ status: 404, body: { code: 'not_found' } })
    expect(await decide('venue.inbox/6', { action: 'resume' })).toMatchObject({
      status: 404,
      body: { detail: 'venue.inbox has no partition 6' },
    })
  })

  it('on a task that is not halted is 409, and says what it does', async () => {
    here.set(0, {}).set(1, { state: 'RESTORING', waits: 'its store cannot be opened' })
    const running = await decide('venue.inbox/0', { action: 'resume' })
    expect(running).toMatchObject({ status: 409, body: { code: 'conflict', detail: expect.stringContaining('it is RUNNING') } })
    const waiting = await decide('venue.inbox/1', { action: 'rebuild' })
    expect(waiting).toMatchObject({ status: 409, body: { detail: expect.stringContaining('its store cannot be opened') } })
    expect(await decisions()).toEqual([])
  })

  it('with one Idempotency-Key is made once, even if the task has continued since', async () => {
    here.set(2, stopped('x'))
    const headers = { 'idempotency-key': `key-${number}` }
    const first = await decide('venue.inbox/2', { action: 'resume' }, { headers })
    here.set(2, {})
    const again = await decide('venue.inbox/2', { action: 'resume' }, { headers })
    expect([first.status, again.status, again.body]).toEqual([202, 202, first.body])
    here.set(2, stopped('again'))
    await decide('venue.inbox/2', { action: 'resume' }, { headers })
    expect((await decisions()).map(d => d.id)).toEqual([first.body.id])
    const other = await decide('venue.inbox/2', { action: 'rebuild' }, { headers })
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } })
    const known = await send('GET', `${api.url}/api/v1/commands/${first.body.id}`)
    expect(known).toMatchObject({ status: 200, body: { action: 'TaskDecision', outcome: 'handled' } })
  })

  it('with an Idempotency-Key whose append failed is made by the next attempt', async () => {
    here.set(2, stopped('x'))
    const headers = { 'idempotency-key': `failed-${number}` }
    const { append } = log
    log.append = records =>
      records[0]?.topic === venueLog.name ? Promise.reject(new LogError('unavailable', 'full')) : append.call(log, records)
    expect((await decide('venue.inbox/2', { action: 'resume' }, { headers })).status).toBe(503)
    log.append = append
    expect((await decide('venue.inbox/2', { action: 'resume' }, { headers })).status).toBe(202)
    expect(await decisions()).toHaveLength(1)
  })

  it('is accepted while Postgres is unavailable, without an Idempotency-Key', async () => {
    const away = openPool({ url: 'postgresql://nobody@127.0.0.1:1/none', log: quiet })
    const alone = await startApi({
      ...testOptions({ codec } as TestLog, away),
      log,
      actors: [{ name: 'venue', inbox: venueInbox.name, changelog: venueLog.name, group: 'bma.processors' }],
      workers: { processors: status },
    })
    try {
      here.set(2, stopped('x'))
      const url = `${alone.url}/api/v1/tasks/venue.inbox/2/decisions`
      expect((await send('POST', url, { body: { action: 'resume' } })).status).toBe(202)
    } finally {
      await alone.close()
      await away.end()
    }
  })
})

describe('a decision on a task of another process without a recorded halt', () => {
  it('is accepted if it is harmless for a running task', async () => {
    await arrive(5, 2)
    await elsewhere(5, 2, null)
    for (const action of ['resume', 'rebuild']) expect((await decide('venue.inbox/5', { action })).status).toBe(202)
    expect(await decide('venue.inbox/5', { action: 'accept', offset: 0 })).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining('it is making progress or has nothing to handle') },
    })
  })

  it('accepts an offset if the task does not move though it has records to handle', { timeout: 15_000 }, async () => {
    await arrive(5, 4)
    await elsewhere(5, 2, null)
    expect((await decide('venue.inbox/5', { action: 'accept', offset: 3 })).status).toBe(202)
    expect(await decisions()).toMatchObject([{ partition: 5, action: 'ACCEPT', offset: 3 }])
  })

  it('refuses an offset while the task moves', async () => {
    await arrive(5, 4)
    await elsewhere(5, 2, null)
    const { groupOffsets } = log
    let looked = 0
    log.groupOffsets = async group => {
      const positions = await groupOffsets.call(log, group)
      return ++looked < 4 ? positions : positions.map(p => ({ ...p, offset: 3 }))
    }
    expect((await decide('venue.inbox/5', { action: 'accept', offset: 3 })).status).toBe(409)
    expect(await decisions()).toEqual([])
  })
})
