import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { configFrom } from '../config.ts'
import { serviceTopics } from '../service/actors.ts'
import { openLocalLog } from '../topics/local/log.ts'
import { execute } from './command.ts'
import { logCommand } from './log.ts'
import { readinessOf, type Shown, tableOf } from './log-table.ts'

const task = (partition: number, more: Partial<Shown> = {}): Shown => ({
  inbox: 'venue.inbox',
  partition,
  state: 'RUNNING',
  worker: 'processors',
  position: 5,
  first: 0,
  end: 5,
  stopped: null,
  waits: null,
  decision: null,
  ...more,
})

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'log-command-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function run(args: string, env: Record<string, string> = {}) {
  const said: string[] = []
  const words = args.split(' ').filter(word => word !== '')
  const print = (text: string) => void said.push(text)
  const command = logCommand({ DATA_DIR: folder, ADMIN_TOKEN: 'token', ...env }, print)
  const code = await execute(command, words, { out: print, err: print })
  return { code, said: said.join('\n') }
}

describe('what is printed', () => {
  it('begins with what does not run, says why and what to type, and keeps the rest to a line', () => {
    const tasks = [
      task(0),
      task(1),
      task(3),
      task(12, {
        state: 'STOPPED',
        position: 12,
        first: 20,
        end: 1_040,
        stopped: { cause: '8 are gone', at: '2026-05-01T03:04:05.000Z' },
        decision: { action: 'accept', offset: 14, by: 'u1', reason: 'tried', at: '2026-05-01T03:10:00.000Z' },
      }),
      task(4, { state: 'RESTORING', position: null, waits: 'no space left' }),
      task(5, { state: 'UNKNOWN', worker: null, position: 3 }),
    ]
    expect(tableOf(tasks)).toBe(`
TASK            STATE      NEXT   END  BEHIND
venue.inbox/12  STOPPED      12  1040    1028
    stopped 2026-05-01T03:04:05.000Z: 8 are gone
    the inbox begins at 20
    decided 2026-05-01T03:10:00.000Z by u1: accept from 14 (tried)
venue.inbox/4   RESTORING     ?     5       ?
    waits, and is tried again by itself: no space left
venue.inbox/5   elsewhere     3     5       2

3 of 6 tasks run: venue.inbox 0-1,3
elsewhere: of another process, and the log tells of no stop; that process says in its /readyz whether they run

a halted task continues once a person has decided; the cause above says what must be mended first:
  npm run log -- resume venue.inbox/12             it is mended: continue where it was halted
  npm run log -- accept venue.inbox/12 --from 20   continue there: what lies before 20 and was not handled is given up
  npm run log -- rebuild venue.inbox/12            give up the local store: the state is what the changelog says`)
  })

  it('is short when all is well', () => {
    expect(tableOf([task(0), task(1)])).toBe('\n2 of 2 tasks run: venue.inbox 0-1')
    expect(readinessOf('http://x', true, { log: { status: 'up', detail: '' } })).toBe('the service at http://x is ready')
  })

  it('names what is not well of the service', () => {
    const dependencies = {
      log: { status: 'down', detail: 'EIO' },
      processors: { status: 'degraded', detail: '1 of 2 tasks run' },
    }
    expect(readinessOf('http://x', false, dependencies)).toBe(
      'the service at http://x is NOT READY\n  log         down      EIO\n  processors  degraded  1 of 2 tasks run',
    )
  })
})

describe('with a service', () => {
  let server: Server
  let url: string
  const asked: { method: string; path: string; token: string; body: unknown }[] = []
  let answers: Record<string, (body: unknown) => [status: number, body: object]>

  beforeEach(async () => {
    asked.length = 0
    answers = { 'GET /readyz': () => [200, { status: 'ready', dependencies: {} }] }
    server = createServer(async (request, response) => {
      let text = ''
      for await (const chunk of request) text += chunk
      const { pathname } = new URL(request.url as string, 'http://x')
      const body = text === '' ? undefined : JSON.parse(text)
      asked.push({
        method: request.method as string,
        path: request.url as string,
        token: `${request.headers.authorization}`,
        body,
      })
      const [status, answer] = answers[`${request.method} ${pathname}`]?.(body) ?? [404, { detail: `no route for ${pathname}` }]
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterEach(async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
  const withTasks = (tasks: () => Shown[]) => {
    answers['GET /api/v1/tasks'] = () => [200, { items: tasks(), next: null }]
  }

  it('status exits with 0 when all runs, with 1 when something does not, and reads every page', async () => {
    withTasks(() => [task(0)])
    expect(await run(`status --url ${url}`)).toMatchObject({ code: 0, said: expect.stringContaining('1 of 1 tasks run') })
    const { port } = new URL(url)
    expect((await run('', { HOST: '0.0.0.0', PORT: port })).code).toBe(0)
    let page = 0
    answers['GET /api/v1/tasks'] = () => [200, { items: [task(page)], next: page++ === 0 ? 'more' : null }]
    expect((await run(`status --url ${url}`)).said).toContain('2 of 2 tasks run')
    withTasks(() => [task(0), task(1, { waits: 'x' })])
    expect((await run(`status --url ${url}`)).code).toBe(1)
    withTasks(() => [task(0)])
    answers['GET /readyz'] = () => [503, { dependencies: { log: { status: 'down', detail: 'EIO' } } }]
    expect(await run(`status --url ${url}`)).toMatchObject({ code: 1, said: expect.stringContaining('NOT READY') })
  })

  it.each([
    ['resume venue.inbox/3', { action: 'resume' }],
    ['accept venue.inbox/3 --from 120 --reason tried', { action: 'accept', offset: 120, reason: 'tried' }],
    ['rebuild venue.inbox/3', { action: 'rebuild' }],
  ])('%s decides, with the token of the settings, and waits until the task runs', async (args, body) => {
    let looked = 0
    withTasks(() => [task(3, looked++ < 2 ? { state: 'STOPPED', stopped: { cause: 'x', at: null } } : { position: 121 })])
    answers['POST /api/v1/tasks/venue.inbox/3/decisions'] = () => [202, { id: 'd-1' }]
    writeFileSync(join(folder, 'admin.token'), 'of-the-folder\n')
    const { code, said } = await run(`${args} --url ${url}`, { ADMIN_TOKEN: '' })
    expect([code, said]).toEqual([0, expect.stringContaining('venue.inbox/3 runs: next offset 121')])
    expect(said).toContain('decided (d-1)')
    expect(asked[0]).toEqual({
      method: 'POST',
      path: '/api/v1/tasks/venue.inbox/3/decisions',
      token: 'Bearer of-the-folder',
      body,
    })
  })

  it('says what the service has refused, and exits with 2', async () => {
    answers['POST /api/v1/tasks/venue.inbox/3/decisions'] = () => [409, { detail: 'venue.inbox/3 is not stopped: it is RUNNING' }]
    expect(await run(`resume venue.inbox/3 --url ${url}`)).toEqual({
      code: 2,
      said: `${url} has refused it: venue.inbox/3 is not stopped: it is RUNNING`,
    })
  })

  it('says how to give a token, and where there is an API', async () => {
    answers['GET /api/v1/tasks'] = () => [401, { detail: 'send a valid token' }]
    expect((await run(`status --url ${url}`)).said).toMatch(/does not take the token: it comes from ADMIN_TOKEN/)
    expect((await run(`status --url ${url}`, { ADMIN_TOKEN: '' })).said).toMatch(/there is no token to ask with: ADMIN_TOKEN/)
    delete answers['GET /api/v1/tasks']
    expect((await run(`status --url ${url}`)).said).toMatch(/has no API: ask one with the role "api"/)
  })
})

describe('without a service', () => {
  let port: string
  beforeEach(async () => {
    const server = createTcpServer()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    port = String((server.address() as AddressInfo).port)
    await new Promise(resolve => server.close(resolve))
  })
  const file = () => join(folder, 'log.sqlite')
  const topics = () => serviceTopics(configFrom({ DATA_DIR: folder }))

  it('says that nobody answers, and asks whether the folder is the right one', async () => {
    const { code, said } = await run('status', { PORT: port })
    expect(code).toBe(2)
    expect(said).toContain(`no service answers at http://127.0.0.1:${port} (ECONNREFUSED)`)
    expect(said).toContain(`there is no log in ${folder}`)
  })

  it('says that the log is fine when it is', async () => {
    await (await openLocalLog({ file: file(), topics: topics() })).close()
    expect((await run('status', { PORT: port })).said).toMatch(/can be opened: start it with `npm start`/)
  })

  it('says why the log refuses, for then the service cannot start', async () => {
    writeFileSync(file(), 'this is no database, however long one looks at it')
    expect((await run('resume venue.inbox/0', { PORT: port })).said).toMatch(
      /it cannot start, for the log refuses: .*log\.sqlite/,
    )
    rmSync(file())
    const [first, ...rest] = topics()
    await (await openLocalLog({ file: file(), topics: [{ ...first, partitions: 3 } as never, ...rest] })).close()
    expect((await run('status', { PORT: port })).said).toMatch(/the log refuses: topic "[\w.]+" has 3 partitions/)
  })

  it('says that a process has the log, which does not answer there', async () => {
    const log = await openLocalLog({ file: file(), topics: [] })
    try {
      expect((await run('status', { PORT: port })).said).toMatch(/a process has its log: .*\nit is starting, stopping or hanging/)
    } finally {
      await log.close()
    }
  })

  it('says which settings are wrong', async () => {
    expect((await run('status', { PORT: port, ROLES: 'api' })).said).toMatch(/it cannot start: invalid configuration/)
  })

  it('says which brokers are away', async () => {
    const cluster = { KAFKA_BROKERS: `127.0.0.1:${port}`, SCHEMA_REGISTRY_URL: 'http://127.0.0.1:1' }
    expect((await run('status', { PORT: port, ...cluster })).said).toMatch(
      /the log does not answer: 127.0.0.1:\d+: .*ECONNREFUSED/,
    )
  })

  it('looks at no settings of this machine for a service elsewhere', async () => {
    const { said } = await run(`status --url http://127.0.0.1:${port}`)
    expect(said).toMatch(/look at its output where it runs$/)
  })
})

it.each([
  'forget venue.inbox/3',
  'resume',
  'resume venue',
  'accept venue.inbox/3',
  'accept venue.inbox/3 --from x',
  'resume a/1 --from 3',
  'resume a/1 b',
  'status --what',
])('"%s" is refused before anybody is asked, and says how it is used', async args => {
  const { code, said } = await run(args, { PORT: '1' })
  expect(code).toBe(2)
  expect(said).toContain('For help: npm run log -- --help')
  expect(said).not.toContain('answers')
})
