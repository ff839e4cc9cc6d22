/** How the tasks of the service do, and a person's decision how one that is halted continues. Asks the API of the running service. */
import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError, configFrom, environment } from '../config.ts'
import { messageOf } from '../engine/errors.ts'
import { openLocalLog } from '../topics/local/log.ts'
import { LogError } from '../topics/log.ts'
import { type CommandLine, main, type Values, Wrong } from './command.ts'
import { readinessOf, type Shown, tableOf } from './log-table.ts'

/** A person waits for it, ms. */
const ANSWER_MS = 10_000
/** How long to look whether a task continues, ms. */
const CONTINUES_MS = 10_000
/** One that is still halted by then has taken the decision, and halted again, ms. */
const HALTED_MS = 4_000
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

const OPTIONS = {
  from: { type: 'string', value: '<offset>', doc: 'accept: the next offset to handle' },
  reason: { type: 'string', value: '<text>', doc: 'why, for those who look later; no names or numbers of persons' },
  url: { type: 'string', value: '<url>', doc: 'where the service is, if not at HOST and PORT of the settings' },
} as const
type Given = Values<typeof OPTIONS>

/** The command, with these settings. */
export function logCommand(env: Env, print: Print): CommandLine<typeof OPTIONS> {
  return {
    name: 'npm run log --',
    summary: 'How the tasks of the service do, and a decision how one that is halted continues.',
    options: OPTIONS,
    words: 'status | resume <task> | accept <task> | rebuild <task>',
    help: `  resume  venue.inbox/3             the cause is mended: continue where it halted
  accept  venue.inbox/3 --from 120  continue there; records before it that were not handled are given up
  rebuild venue.inbox/3             discard the local store; the state is what the changelog says

Exits with 0 if all is well, with 1 if something does not run, with 2 if it could not ask or was refused.`,
    check: (values, words) => void orderOf(values, words),
    run: async (values, words) => {
      const order = orderOf(values, words)
      const service = serviceOf(env, values.url)
      try {
        return order === null ? await status(service, print) : await decide(service, order, print)
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error
        throw new Wrong(`${error.message}\n${await whyUnanswered(env, values.url !== undefined)}`)
      }
    },
  }
}

interface Order {
  readonly inbox: string
  readonly partition: number
  readonly decision: { readonly action: string; readonly offset?: number; readonly reason?: string }
}

/** Null where the status is asked for. @throws {Wrong} */
function orderOf(values: Given, [action = 'status', task, ...more]: readonly string[]): Order | null {
  if (more.length > 0) throw new Wrong(`"${more[0]}" is too much`)
  if (action === 'status' && task === undefined) return null
  const decision = decisionOf(action, values)
  const [, inbox, partition] = /^(.+)\/(\d+)$/.exec(task ?? '') ?? []
  if (inbox === undefined) throw new Wrong(`which task? ${task === undefined ? '' : `"${task}" is none; `}such as venue.inbox/3`)
  return { inbox, partition: Number(partition), decision }
}

function decisionOf(action: string, { from, reason }: Given): Order['decision'] {
  const actions = ['resume', 'accept', 'rebuild']
  if (!actions.includes(action)) throw new Wrong(`"${action}" is no action; there are status, ${actions.join(', ')}`)
  if (action === 'accept' && !/^\d+$/.test(from ?? '')) throw new Wrong('accept needs --from <offset>: the next one to handle')
  if (action !== 'accept' && from !== undefined) throw new Wrong('--from is for accept')
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

async function decide(service: Service, { inbox, partition, decision }: Order, print: Print): Promise<number> {
  const name = `${inbox}/${partition}`
  const { id } = await asked(service, `/api/v1/tasks/${encodeURIComponent(inbox)}/${partition}/decisions`, decision)
  print(`decided (${id}); the worker that has ${name} looks for it about twice a second`)
  let task: Shown | undefined
  for (
    const began = Date.now();
    Date.now() - began < (task?.state === 'STOPPED' ? HALTED_MS : CONTINUES_MS);
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

/** @throws {Wrong} with what the service has said */
async function asked({ ask, url, token }: Service, path: string, sent?: object): Promise<Answer> {
  const { status, body } = await ask(path, sent)
  if (status < 300) return body
  const detail = body.detail ?? `status ${status}`
  if (status === 401) {
    const how = 'ADMIN_TOKEN or ADMIN_TOKEN_FILE, otherwise the file admin.token in DATA_DIR'
    throw new Wrong(
      token === null ? `there is no token to ask with: ${how}` : `${url} does not take the token: it comes from ${how}`,
    )
  }
  if (status === 404 && detail.startsWith('no route')) {
    throw new Wrong(`the process at ${url} has no API: ask one with the role "api" (--url)`)
  }
  throw new Wrong(`${url} has refused it: ${detail}`)
}

function serviceOf(env: Env, given: string | undefined): Service {
  const url = (given ?? addressOf(env)).replace(/\/+$/, '')
  if (!URL.canParse(url)) throw new Wrong(`--url is "${url}"; it must be a URL such as http://127.0.0.1:3000`)
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

if (import.meta.main) await main(logCommand(environment(), text => console.log(text)))
