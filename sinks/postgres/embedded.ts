/**
 * A real Postgres server in the data folder, on its own loopback port.
 *
 *   <dataDir>/postgres/            the cluster; its postmaster.pid says which server runs on it
 *   <dataDir>/postgres.password    of the superuser, created once
 *   <dataDir>/postgres.log         the server's log since its last start
 *
 * The process that uses the server holds an advisory lock in it. A server that a killed process left running is taken over; it is
 * ours only if its working directory is this cluster.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { type Binaries, findBinaries, letThrough, type RunAs, serverUser } from './binaries.ts'

export interface EmbeddedPostgres {
  readonly url: string
  /** Fast shutdown: open transactions are rolled back. Resolves once the server has ended. */
  stop(): Promise<void>
}

/** Key of the advisory lock held by the process that uses the server. */
const IN_USE = 7_240_531
const PROC = existsSync('/proc/self')
const START_MS = 30_000
const STOP_MS = 20_000

interface Server {
  readonly pid: number
  readonly url: string
}

/** @throws when there are no binaries for this platform, the server does not start, or another live process uses the folder. */
export async function startEmbeddedPostgres(options: {
  dataDir: string
  log: Pick<Logger, 'info' | 'warn'>
}): Promise<EmbeddedPostgres> {
  const { log } = options
  mkdirSync(options.dataDir, { recursive: true })
  const dataDir = realpathSync(options.dataDir)
  const cluster = join(dataDir, 'postgres')
  const [binaries, user] = [await findBinaries(), serverUser()]
  letThrough(binaries.postgres, user)
  if (placeOf(cluster) === cluster) letThrough(dataDir, user)
  const password = passwordOf(dataDir, cluster)
  if (!existsSync(cluster)) await initialise(binaries, user, dataDir, cluster)

  const left = await leftRunning(cluster, password, log)
  const server = left ?? (await start(binaries, user, dataDir, cluster, password))
  log.info({ server: server.pid, takenOver: left !== null }, 'embedded Postgres is running')

  const lock = await hold(server.url, cluster).catch(async error => {
    if (left === null) await end(server.pid, cluster)
    throw error
  })
  const stopAtExit = () => signal(server.pid, 'SIGINT')
  process.once('exit', stopAtExit)
  let stopping: Promise<void> | undefined
  const stop = async () => {
    await lock.end().catch(() => {})
    await end(server.pid, cluster)
    process.off('exit', stopAtExit)
  }
  return { url: server.url, stop: () => (stopping ??= stop()) }
}

/**
 * The path of the cluster as the server gets it: its working directory. Another user cannot traverse our private folders on the way
 * there, and need not.
 */
function placeOf(cluster: string): string {
  return PROC ? '/proc/self/cwd' : cluster
}

function passwordOf(dataDir: string, cluster: string): string {
  const file = join(dataDir, 'postgres.password')
  if (!existsSync(file)) {
    if (existsSync(cluster)) throw new Error(`${file} is missing: restore it, or set DATABASE_URL`)
    writeFileSync(file, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 })
  }
  return readFileSync(file, 'utf8').trim()
}

/** Creates the cluster elsewhere and moves it into place, so that an incomplete one is never used. */
async function initialise(binaries: Binaries, user: RunAs, dataDir: string, cluster: string): Promise<void> {
  const half = `${cluster}.new`
  rmSync(half, { recursive: true, force: true })
  mkdirSync(half, { mode: 0o700 })
  if (user.uid !== undefined && user.gid !== undefined) {
    for (const path of [half, join(dataDir, 'postgres.password')]) chownSync(path, user.uid, user.gid)
  }
  const said = logFile(dataDir)
  const password = openSync(join(dataDir, 'postgres.password'), 'r')
  const child = spawn(
    binaries.initdb,
    [
      `--pgdata=${placeOf(half)}`,
      '--username=postgres',
      `--pwfile=${PROC ? '/proc/self/fd/3' : join(dataDir, 'postgres.password')}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      // Code point order as in C, and lower() of every alphabet.
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
    ],
    { ...user, cwd: half, stdio: ['ignore', said, said, password] },
  )
  closeSync(said)
  closeSync(password)
  const code = await ended(child)
  if (code !== 0) throw new Error(`initdb failed (${code}): ${lastWords(dataDir)}`)
  renameSync(half, cluster)
}

async function start(binaries: Binaries, user: RunAs, dataDir: string, cluster: string, password: string): Promise<Server> {
  const port = await freePort()
  const said = logFile(dataDir)
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 60,
    jit: 'off',
    log_checkpoints: 'off',
    log_error_verbosity: 'terse', // details would show values of rows
  }
  const child = spawn(
    binaries.postgres,
    ['-D', placeOf(cluster), ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    // In its own session: a Ctrl-C in our terminal is for us, and the server ends after those who write to it.
    { ...user, cwd: cluster, detached: true, stdio: ['ignore', said, said] },
  )
  closeSync(said)
  child.unref()
  const gone = ended(child)
  let code: string | number | null = null
  gone.then(
    ended => (code = ended),
    error => (code = messageOf(error)),
  )
  const url = urlOf(port, password)
  const deadline = performance.now() + START_MS
  while (!(await answers(url))) {
    if (code !== null) throw new Error(`Postgres ended while starting (${code}): ${lastWords(dataDir)}`)
    if (performance.now() > deadline) {
      child.kill('SIGQUIT')
      throw new Error(`Postgres accepted no connection within ${START_MS} ms: ${lastWords(dataDir)}`)
    }
    await sleep(20)
  }
  return { pid: child.pid as number, url }
}

/** The server that an earlier process of this folder left running, once it accepts connections; it is stopped if it does not. */
async function leftRunning(cluster: string, password: string, log: Pick<Logger, 'warn'>): Promise<Server | null> {
  const pidFile = join(cluster, 'postmaster.pid')
  const deadline = performance.now() + START_MS / 3
  while (existsSync(pidFile)) {
    // Lines: pid, data folder, start time, port, socket folder, address, shared memory, status.
    const [pid, , , port] = readFileSync(pidFile, 'utf8').split('\n').map(Number) as [number, number, number, number?]
    if (!runsOn(pid, cluster)) {
      // The machine has restarted, or the pid is another program's now. Backends that outlive their server end by themselves.
      await until(() => serversOn(cluster).length === 0, STOP_MS)
      rmSync(pidFile, { force: true })
      return null
    }
    const url = urlOf(port ?? 0, password)
    if (await answers(url)) return { pid, url }
    if (performance.now() > deadline) {
      log.warn({ server: pid }, 'the Postgres server left running accepts no connection; stopping it')
      await end(pid, cluster)
    }
    await sleep(20)
  }
  return null
}

/** Locks the server for this process. The lock of a killed process is released as soon as the server notices. */
async function hold(url: string, cluster: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'owner' })
  client.on('error', () => {}) // the server is gone; its users report it
  await client.connect()
  const free = await until(async () => {
    const { rows } = await client.query<{ held: boolean }>('SELECT pg_try_advisory_lock($1) AS held', [IN_USE])
    return rows[0]?.held === true
  }, 2_000)
  if (!free) {
    await client.end()
    throw new Error(`another process uses the Postgres server of ${cluster}: use another DATA_DIR, or set DATABASE_URL`)
  }
  return client
}

/** Stops a server of this cluster: fast shutdown, then immediate shutdown (recovery at the next start) if that hangs. */
async function end(pid: number, cluster: string): Promise<void> {
  for (const how of ['SIGINT', 'SIGQUIT'] as const) {
    if (!runsOn(pid, cluster)) return
    signal(pid, how)
    if (await until(() => !runsOn(pid, cluster), STOP_MS)) return
  }
  throw new Error(`the Postgres server ${pid} of ${cluster} does not stop`)
}

/** Whether this process is a Postgres server of this cluster. A server's working directory is its cluster. */
function runsOn(pid: number, cluster: string): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    if (!PROC) return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).includes(`-D ${cluster}`)
    return readlinkSync(`/proc/${pid}/cwd`) === cluster && /postgres/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
  } catch {
    return false // ended, or not visible to us
  }
}

function serversOn(cluster: string): number[] {
  if (!PROC) return []
  return readdirSync('/proc')
    .map(Number)
    .filter(pid => runsOn(pid, cluster))
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // already ended
  }
}

function ended(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? String(signal)))
  })
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.end()
    return true
  } catch {
    return false
  }
}

async function until(condition: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > deadline) return false
    await sleep(20)
  }
  return true
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

function urlOf(port: number, password: string): string {
  return `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`
}

function logFile(dataDir: string): number {
  return openSync(join(dataDir, 'postgres.log'), 'w', 0o600)
}

function lastWords(dataDir: string): string {
  return readFileSync(join(dataDir, 'postgres.log'), 'utf8').trim().split('\n').slice(-5).join(' | ')
}
