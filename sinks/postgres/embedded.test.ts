import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded.ts'

const quiet = { info: () => {}, warn: () => {} }
const undo: (() => unknown)[] = []

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

/** A folder as `mktemp -d` makes it: nobody but us may pass through. */
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'embedded-'))
  undo.push(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function started(dataDir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log: quiet })
  undo.push(() => server.stop())
  return server
}

async function query(server: { url: string }, sql: string): Promise<unknown[][]> {
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows
  } finally {
    await client.end()
  }
}

function serverPid(dataDir: string): number {
  return Number(readFileSync(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0])
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(10)
}

/** Another process that starts the server of this folder, and is then killed. */
async function leaveRunning(dataDir: string): Promise<void> {
  const script = `
    const { startEmbeddedPostgres } = await import(${JSON.stringify(join(import.meta.dirname, 'embedded.ts'))})
    await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, log: { info() {}, warn() {} } })
    console.log('ready')
    setInterval(() => {}, 1000)`
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('exit', code => reject(new Error(`ended with ${code}`)))
  })
  child.removeAllListeners('exit')
  const gone = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

test('keeps its data and its password over a stop', async () => {
  const dataDir = join(folder(), 'data')
  const first = await started(dataDir)
  await query(first, "CREATE TABLE kept AS SELECT 'ร้านลมทะเล' AS name")
  await first.stop()
  const second = await started(dataDir)
  expect(await query(second, 'SELECT name FROM kept')).toEqual([['ร้านลมทะเล']])
  expect(await query(second, "SELECT lower('ÉTOILE'), current_setting('server_encoding')")).toEqual([['étoile', 'UTF8']])
  expect(statSync(join(dataDir, 'postgres.password')).mode & 0o777).toBe(0o600)
})

test('leaves its folder closed to everybody else, whatever user the server runs as', async () => {
  const dataDir = folder()
  chmodSync(dataDir, 0o700)
  const server = await started(dataDir)
  expect(await query(server, 'SELECT 1')).toEqual([[1]])
  expect(statSync(dataDir).mode & 0o777).toBe(0o700)
})

test('listens on loopback only, and wants the password', async () => {
  const server = await started(folder())
  expect(await query(server, 'SHOW listen_addresses')).toEqual([['127.0.0.1']])
  const wrong = new URL(server.url)
  wrong.password = 'guessed'
  await expect(query({ url: wrong.href }, 'SELECT 1')).rejects.toThrow('password authentication failed')
})

test('takes over the server that a killed process left running', async () => {
  const dataDir = folder()
  await leaveRunning(dataDir)
  const pid = serverPid(dataDir)
  expect(alive(pid)).toBe(true)
  const server = await started(dataDir)
  expect(serverPid(dataDir)).toBe(pid)
  expect(await query(server, 'SELECT 1')).toEqual([[1]])
  await server.stop()
  await expect(query(server, 'SELECT 1')).rejects.toThrow('ECONNREFUSED')
})

test('starts anew after its server was killed', async () => {
  const dataDir = folder()
  const first = await started(dataDir)
  await query(first, 'CREATE TABLE kept AS SELECT 7 AS n')
  const pid = serverPid(dataDir)
  process.kill(pid, 'SIGKILL')
  await until(() => !alive(pid))
  const second = await started(dataDir)
  expect(serverPid(dataDir)).not.toBe(pid)
  expect(await query(second, 'SELECT n FROM kept')).toEqual([[7]])
})

test('leaves alone a process that has the id of an old server of this folder', async () => {
  const dataDir = folder()
  await (await started(dataDir)).stop()
  const stranger = spawn('sleep', ['60'], { stdio: 'ignore' })
  undo.push(() => stranger.kill())
  writeFileSync(
    join(dataDir, 'postgres', 'postmaster.pid'),
    `${stranger.pid}\n${join(dataDir, 'postgres')}\n0\n5432\n\n\n\nready\n`,
  )
  const server = await started(dataDir)
  expect(await query(server, 'SELECT 1')).toEqual([[1]])
  expect(stranger.exitCode).toBeNull()
  expect(stranger.signalCode).toBeNull()
})

test("leaves alone another folder's server", async () => {
  const [mine, other] = [folder(), folder()]
  await (await started(mine)).stop()
  const theirs = await started(other)
  const pidFile = readFileSync(join(other, 'postgres', 'postmaster.pid'))
  writeFileSync(join(mine, 'postgres', 'postmaster.pid'), pidFile)
  const server = await started(mine)
  expect(serverPid(mine)).not.toBe(serverPid(other))
  await server.stop()
  expect(await query(theirs, 'SELECT 1')).toEqual([[1]])
})

test('refuses a folder whose server a live process uses, and leaves that one be', async () => {
  const dataDir = folder()
  const first = await started(dataDir)
  await expect(startEmbeddedPostgres({ dataDir, log: quiet })).rejects.toThrow('another process uses the Postgres server')
  expect(await query(first, 'SELECT 1')).toEqual([[1]])
})

test('makes the cluster anew when an earlier attempt was cut short', async () => {
  const dataDir = folder()
  writeFileSync(join(dataDir, 'postgres.password'), 'chosen-before\n', { mode: 0o600 })
  const half = join(dataDir, 'postgres.new')
  writeFileSync(half, 'half')
  const server = await started(dataDir)
  expect(await query(server, 'SELECT 1')).toEqual([[1]])
})
