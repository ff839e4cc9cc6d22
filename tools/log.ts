/**
 * `npm run log`: how the tasks of the service do, and a person's decision how one that stands still goes on.
 *
 *   npm run log -- status
 *   npm run log -- resume  venue.inbox/3                what was wrong is mended: go on where it stands
 *   npm run log -- accept  venue.inbox/3 --from 120     go on there: what lies before and was not handled is given up
 *   npm run log -- rebuild venue.inbox/3                the local store is given up, the state is what the changelog says
 *
 * It asks the API of the running service (`--url`, otherwise HOST and PORT), with ADMIN_TOKEN or the token in DATA_DIR. Exits with 0
 * when all is well, 1 when something does not run, 2 when it could not ask or was refused.
 */
import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ConfigError, configFrom, environment } from '../config.ts'
import { messageOf } from '../engine/errors.ts'
import { openLocalLog } from '../topics/local/log.ts'
import { LogError } from '../topics/log.ts'
import { readinessOf, type Shown, tableOf } from './log-table.ts'

const USAGE = `npm run log -- status
npm run log -- resume  INBOX/PARTITION                what was wrong is mended: go on where it stands
npm run log -- accept  INBOX/PARTITION --from OFFSET  go on there; what lies before and was not handled is given up
npm run log -- rebuild INBOX/PARTITION                give up the local store; the state is what the changelog says
    --reason TEXT   why, for those who look later (no names or numbers of persons)
    --url URL       where the service is, if not at HOST and PORT of the settings`

/** A person waits for it, ms. */
const ANSWER_MS = 10_000
/** How long is looked whether a task goes on, ms. */
const GOES_ON_MS = 10_000
/** One that still stands still by then has looked at the decision, and stopped again, ms. */
const STANDS_MS = 4_000
const LOOK_MS = 300

type Env = Readonly<Record<string, string | undefined>>
type Print = (text: string) => void

interface Service {
  readonly url: string
  readonly token: string | null
  ask(path: string, body?: object): Promise<{ status: number; body: Answer }>
}
interface Answer {
  readonly detail?: string
  readonly id?: string
  readonly items?: readonly Shown[]
  readonly next?: string | null
  readonly status?: string
  readonly dependencies?: Readonly<Record<string, { status: string; detail: string }>>
}

/** Says what keeps the command from its work, and what to do. */
class Refused extends Error {}

/** Returns the exit code. */
export async function main(args: readonly string[], env: Env, print: Print): Promise<number> {
  try {
    const { values, positionals } = parsed(args)
    const [action = 'status', where, ...more] = positionals
    if (values.help === true) {
      print(USAGE)
      return 0
    }
    const service = serviceOf(env, values.url)
    if (action === 'status' && where === undefined) return await status(service, print)
    if (more.length > 0) throw new Refused(`"${more[0]}" is too much\n\n${USAGE}`)
    const body = decisionOf(action, values)
    const [, inbox = '', partition = ''] = /^(.+)\/(\d+)$/.exec(where ?? '') ?? []
    if (inbox === '')
      throw new Refused(`which task? ${where === undefined ? '' : `"${where}" is none; `}such as venue.inbox/3\n\n${USAGE}`)
    return await decide(service, inbox, Number(partition), body, print)
  } catch (error) {
    if (error instanceof Unanswered)
      print(
        `${error.message}\n${await whyUnanswered(
          env,
          args.some(a => a.startsWith('--url')),
        )}`,
      )
    else if (error instanceof Refused) print(error.message)
    else throw error
    return 2
  }
}

function parsed(args: readonly string[]) {
  const text = { type: 'string' } as const
  const options = { from: text, reason: text, url: text, help: { type: 'boolean' } } as const
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options })
  } catch (error) {
    throw new Refused(`${messageOf(error)}\n\n${USAGE}`)
  }
}

function decisionOf(action: string, { from, reason }: { from?: string; reason?: string }): { action: string; offset?: number } {
  if (!['resume', 'accept', 'rebuild'].includes(action)) throw new Refused(`"${action}" is nothing to do here\n\n${USAGE}`)
  if (action === 'accept' && !/^\d+$/.test(from ?? ''))
    throw new Refused(`accept needs --from OFFSET: the next one to handle\n\n${USAGE}`)
  if (action !== 'accept' && from !== undefined) throw new Refused(`--from is for accept\n\n${USAGE}`)
  return { action, ...(from === undefined ? {} : { offset: Number(from) }), ...(reason === undefined ? {} : { reason }) }
}

async function status(service: Service, print: Print): Promise<number> {
  const readiness = await service.ask('/readyz')
  print(readinessOf(service.url, readiness.status === 200, readiness.body.dependencies ?? {}))
  const tasks = await tasksOf(service)
  print(tableOf(tasks))
  const well = readiness.status === 200 && tasks.every(t => t.stopped === null && t.waits === null)
  return well ? 0 : 1
}

async function decide(service: Service, inbox: string, partition: number, body: object, print: Print): Promise<number> {
  const name = `${inbox}/${partition}`
  const { id } = await asked(service, `/api/v1/tasks/${encodeURIComponent(inbox)}/${partition}/decisions`, body)
  print(`decided (${id}); the worker that has ${name} looks for it about twice a second`)
  let task: Shown | undefined
  for (
    const began = Date.now();
    Date.now() - began < (task?.state === 'STOPPED' ? STANDS_MS : GOES_ON_MS);
    await sleep(LOOK_MS)
  ) {
    task = (await tasksOf(service)).find(t => t.inbox === inbox && t.partition === partition)
    if (task?.state === 'RUNNING' && task.waits === null) {
      print(`${name} runs: next offset ${task.position}, the inbox ends at ${task.end}`)
      return 0
    }
  }
  if (task?.state === 'UNKNOWN') {
    print(`${name} is with another process: the process that has it says in its /readyz whether it runs`)
    return 0
  }
  print(`${name} does not run yet:\n${tableOf(task === undefined ? [] : [task])}`)
  return 1
}

async function tasksOf(service: Service): Promise<Shown[]> {
  const tasks: Shown[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: Answer = await asked(service, `/api/v1/tasks?limit=200${cursor === '' ? '' : `&cursor=${cursor}`}`)
    tasks.push(...(page.items ?? []))
    cursor = page.next ?? null
  }
  return tasks
}

/** @throws {Refused} with what the service has said */
async function asked({ ask, url, token }: Service, path: string, sent?: object): Promise<Answer> {
  const { status, body } = await ask(path, sent)
  if (status < 300) return body
  const detail = body.detail ?? `status ${status}`
  if (status === 401) {
    const how = 'ADMIN_TOKEN or ADMIN_TOKEN_FILE, otherwise the file admin.token in DATA_DIR'
    throw new Refused(
      token === null ? `there is no token to ask with: ${how}` : `${url} does not take the token: it comes from ${how}`,
    )
  }
  if (status === 404 && detail.startsWith('no route')) {
    throw new Refused(`the process at ${url} has no API: ask one with the role "api" (--url)`)
  }
  throw new Refused(`${url} has refused it: ${detail}`)
}

function serviceOf(env: Env, given: string | undefined): Service {
  const url = (given ?? addressOf(env)).replace(/\/+$/, '')
  if (!URL.canParse(url)) throw new Refused(`--url is "${url}"; it has to be an address such as http://127.0.0.1:3000`)
  const token = tokenOf(env)
  return {
    url,
    token,
    async ask(path, body) {
      try {
        const response = await fetch(url + path, {
          signal: AbortSignal.timeout(ANSWER_MS),
          headers: {
            ...(token === null ? {} : { authorization: `Bearer ${token}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
        })
        return { status: response.status, body: (await response.json()) as Answer }
      } catch (error) {
        throw new Unanswered(url, error)
      }
    },
  }
}

class Unanswered extends Error {
  constructor(url: string, cause: unknown) {
    const why = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
    const code = (why as NodeJS.ErrnoException).code ?? messageOf(why)
    super(`no service answers at ${url} (${code})`, { cause })
  }
}

function addressOf({ HOST: host = '', PORT: port = '' }: Env): string {
  const name = ['', '0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port || 3000}`
}

function tokenOf(env: Env): string | null {
  const given = env.ADMIN_TOKEN_FILE ? readFileSync(env.ADMIN_TOKEN_FILE, 'utf8') : env.ADMIN_TOKEN
  if (given !== undefined && given.trim() !== '') return given.trim()
  const file = join(env.DATA_DIR || './data', 'admin.token')
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : null
}

/** What keeps the service from answering, as far as it can be seen from here, and what to do. */
async function whyUnanswered(env: Env, elsewhere: boolean): Promise<string> {
  const start = 'start it with `npm start`; if it cannot start, the last lines that it prints say why'
  if (elsewhere) return `it does not run, or is not reached from here: look at its output where it runs`
  let settings: ReturnType<typeof configFrom>
  try {
    settings = configFrom(env)
  } catch (error) {
    if (error instanceof ConfigError) return `it cannot start: ${error.message}`
    throw error
  }
  if (settings.kafka !== null) {
    const away = (await Promise.all(settings.kafka.brokers.map(unreachable))).filter(broker => broker !== null)
    if (away.length > 0)
      return `it cannot start, for the log does not answer: ${away.join('; ')}. Bring the brokers back, then start it`
    return `the brokers can be reached: ${start}; if it runs elsewhere, say where: --url`
  }
  const file = join(resolve(settings.dataDir), 'log.sqlite')
  if (!existsSync(file)) return `there is no log in ${settings.dataDir}: is that its DATA_DIR? If it is to be a new one, ${start}`
  try {
    const { serviceTopics } = await import('../service/actors.ts')
    await (await openLocalLog({ file, topics: serviceTopics(settings) })).close()
    return `its log in ${file} can be opened: ${start}`
  } catch (error) {
    if (!(error instanceof LogError)) throw error
    if (error.code !== 'locked') return `it cannot start, for the log refuses: ${error.message}`
    return `a process has its log: ${error.message}
it is starting, stopping or hanging, or listens elsewhere (HOST, PORT, --url): look at its output; if it says nothing for long, end it and start it again`
  }
}

async function unreachable(broker: string): Promise<string | null> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(broker) ?? []
  const { promise, resolve: found } = Promise.withResolvers<string | null>()
  const socket = connect({ host, port: Number(port), timeout: 2_000 }, () => found(null))
  socket.on('timeout', () => found(`${broker}: no answer`))
  socket.on('error', error => found(`${broker}: ${messageOf(error)}`))
  try {
    return await promise
  } finally {
    socket.destroy()
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2), environment(), text => console.log(text))
