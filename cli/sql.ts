/**
 * `npm run sql`: a prompt on the service's ClickHouse; or runs the statements on standard input.
 *
 *   npm run sql                                    npm run sql -- --format JSON < questions.sql
 *
 * It connects to CLICKHOUSE_URL, or else to the embedded server that runs on DATA_DIR, or else starts that one while the prompt is open.
 * It has all the rights of the service.
 */
import { createInterface } from 'node:readline/promises'
import { configFrom, environment } from '../config.ts'
import { messageOf } from '../engine/errors.ts'
import { runningOn, startEmbeddedClickHouse } from '../sinks/clickhouse/embedded.ts'
import { main } from './command.ts'

async function sql({ format }: { format: string }): Promise<number> {
  const { url, stop } = await find()
  try {
    return process.stdin.isTTY ? await prompt(url, format) : await runAll(url, await read(process.stdin), format)
  } finally {
    await stop()
  }
}

async function find(): Promise<{ url: string; stop: () => Promise<void> }> {
  const { clickhouseUrl, dataDir } = configFrom(environment())
  const url = clickhouseUrl ?? runningOn(dataDir)
  if (url !== null) return { url, stop: async () => {} }
  const server = await startEmbeddedClickHouse({ dataDir, log: { info: () => {}, warn: () => {} } })
  return { url: server.url, stop: () => server.stop() }
}

async function prompt(url: string, format: string): Promise<number> {
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: 'sql> ' })
  console.log('Statements end with a semicolon; SHOW TABLES; shows what there is. Ctrl-D leaves.')
  lines.prompt()
  let typed = ''
  for await (const line of lines) {
    if (typed === '' && /^\s*(exit|quit)\s*;?\s*$/i.test(line)) break
    typed += `${line}\n`
    const { statements, rest } = split(typed)
    for (const statement of statements) await run(url, statement, format)
    typed = rest.trim() === '' ? '' : rest
    lines.setPrompt(typed === '' ? 'sql> ' : '  -> ')
    lines.prompt()
  }
  lines.close()
  return 0
}

/** Stops at the first statement that fails. */
async function runAll(url: string, sql: string, format: string): Promise<number> {
  const { statements, rest } = split(sql)
  for (const statement of [...statements, rest]) {
    if (statement.trim() !== '' && !(await run(url, statement, format))) return 1
  }
  return 0
}

async function run(url: string, sql: string, format: string): Promise<boolean> {
  try {
    const { origin, pathname, username, password } = new URL(url)
    const target = new URL(origin)
    target.searchParams.set('default_format', format)
    if (pathname.length > 1) target.searchParams.set('database', decodeURIComponent(pathname.slice(1)))
    const user = `${decodeURIComponent(username) || 'default'}:${decodeURIComponent(password)}`
    const response = await fetch(target, {
      method: 'POST',
      body: sql,
      headers: { authorization: `Basic ${Buffer.from(user).toString('base64')}` },
    })
    const text = await response.text()
    if (response.ok) process.stdout.write(text)
    else process.stderr.write(text)
    return response.ok
  } catch (error) {
    process.stderr.write(`ClickHouse does not answer: ${messageOf(error)}\n`)
    return false
  }
}

/** Strings, quoted names, comments, the end of a statement, and what is between. */
const PARTS =
  /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"|`(?:[^`\\]|\\[\s\S])*`|--[^\n]*|\/\*[\s\S]*?\*\/|;|[^'"`;/-]+|[\s\S]/g

/** Complete statements, and the beginning of the next one. */
export function split(sql: string): { statements: string[]; rest: string } {
  const statements: string[] = []
  let rest = ''
  for (const [part] of sql.matchAll(PARTS)) {
    if (part !== ';') rest += part
    else if (/^(\s|--[^\n]*|\/\*[\s\S]*?\*\/)*$/.test(rest)) rest = ''
    else {
      statements.push(rest.trim())
      rest = ''
    }
  }
  return { statements, rest }
}

async function read(stream: AsyncIterable<Buffer | string>): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk
  return text
}

if (import.meta.main)
  await main({
    name: 'npm run sql --',
    summary: 'A prompt on ClickHouse; takes SQL on standard input too. Statements end with a semicolon.',
    options: {
      format: { type: 'string', default: 'PrettyCompactMonoBlock', value: '<name>', doc: 'output format, such as JSON' },
    },
    check: () => void configFrom(environment()),
    run: sql,
  })
