/**
 * Real clients against a service that is started for them: `npm run test:clients [-- name …]`. What they are made of is fetched from
 * the registries of their languages, and kept beside the real servers of the tests, so this is no part of `npm test`.
 *
 * Ends with 1 when one fails, and with 2 when one could not be tried.
 */
import { spawn } from 'node:child_process'
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../engine/errors.ts'
import { cacheFolder } from '../test/stack/install.ts'
import { main, Wrong } from './command.ts'
import type { Client, Service } from '../test/clients/client.ts'

const ROOT = join(import.meta.dirname, '..')
const CLIENTS = join(ROOT, 'test/clients')
const CACHE = join(cacheFolder(), 'clients')
const READY_MS = 120_000
/** One client asks more than many people do. */
const LIMITS = ['SEARCH', 'STATUS', 'SYNC', 'EMAIL', 'LOGIN', 'TOKEN', 'OTHER']

async function tryClients(wanted: readonly string[]): Promise<number> {
  const names = readdirSync(CLIENTS)
    .filter(file => file.endsWith('.client.ts'))
    .map(file => file.slice(0, -'.client.ts'.length))
    .filter(name => wanted.length === 0 || wanted.includes(name))
    .sort()
  if (names.length === 0) throw new Wrong(`no client of this name: ${wanted.join(', ')}`)
  const results: { name: string; title: string; result: 'passed' | 'FAILED' | 'NOT TRIED' }[] = []
  const { service, stop } = await start()
  try {
    for (const name of names) {
      const { client } = (await import(join(CLIENTS, `${name}.client.ts`))) as { client: Client }
      console.log(`\n── ${client.title}`)
      results.push({ name, title: client.title, result: await tryOut(name, client, service) })
    }
  } finally {
    await stop()
  }
  console.log('')
  for (const { title, result } of results) console.log(`${result.padEnd(9)}  ${title}`)
  if (results.some(({ result }) => result === 'FAILED')) return 1
  return results.some(({ result }) => result === 'NOT TRIED') ? 2 : 0
}

async function tryOut(name: string, client: Client, service: Service): Promise<'passed' | 'FAILED' | 'NOT TRIED'> {
  const folder = join(CACHE, name)
  mkdirSync(folder, { recursive: true })
  const missing = client.needs.filter(program => !isThere(program))
  try {
    if (missing.length > 0) throw new Error(`this machine has no ${missing.join(', ')}`)
    await client.prepare?.(folder)
  } catch (error) {
    console.log(`NOT TRIED: ${messageOf(error)}`)
    return 'NOT TRIED'
  }
  try {
    console.log(await client.run(service, folder))
    return 'passed'
  } catch (error) {
    console.log(`FAILED: ${messageOf(error)}`)
    return 'FAILED'
  }
}

function isThere(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some(folder => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false // not in this one
    }
  })
}

/** The service with its demo, in a folder of its own. */
async function start(): Promise<{ service: Service; stop: () => Promise<void> }> {
  const dataDir = mkdtempSync(join(tmpdir(), 'clients-'))
  const port = String(await freePort())
  const env = {
    PATH: process.env.PATH ?? '',
    DATA_DIR: join(dataDir, 'data'),
    HOST: '127.0.0.1',
    PORT: port,
    DEMO: '1',
    LOG_LEVEL: 'warn',
    ...Object.fromEntries(LIMITS.map(name => [`RATE_LIMIT_${name}`, '1000000'])),
  }
  const child = spawn(process.execPath, [join(ROOT, 'main.ts')], { cwd: dataDir, env, stdio: ['ignore', 'inherit', 'inherit'] })
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    rmSync(dataDir, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${port}`
  const until = performance.now() + READY_MS
  while (!(await isReady(url))) {
    if (child.exitCode !== null || performance.now() > until) {
      await stop()
      throw new Error('the service does not start')
    }
    await sleep(200)
  }
  return { service: { url, port, token: readFileSync(join(dataDir, 'data/admin.token'), 'utf8').trim() }, stop }
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`)).status === 200
  } catch {
    return false // it does not listen yet
  }
}

function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

if (import.meta.main)
  await main({
    name: 'npm run test:clients --',
    summary: 'Runs clients that others wrote against a service that is started for them. Fetches them from their registries.',
    options: {},
    words: '[<client> …]',
    help: 'Exits with 1 where one fails, with 2 where one could not be tried.',
    run: (_, wanted) => tryClients(wanted),
  })
