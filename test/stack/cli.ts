/**
 * `npm run stack`: the real servers, until `npm run stack:stop`. Their addresses as settings: `eval "$(npm run -s stack)"`.
 * Where a Docker engine runs, those of docker-compose.yml instead, which only containers of that set can reach.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { sharedStack, stackFolder, stopShared } from './shared.ts'

const root = join(import.meta.dirname, '../..')
const SERVERS = ['kafka-1', 'kafka-2', 'kafka-3', 'registry', 'redis', 'postgres']

if (process.argv[2] === 'stop') await stop()
else await start()

async function start(): Promise<void> {
  if (hasDocker()) {
    console.error('A Docker engine is here: the servers of docker-compose.yml (reached from inside that set only).')
    if (!existsSync(join(root, 'deploy/private'))) console.error('They need passwords: run deploy/prepare.sh first.')
    return compose('up', '-d', ...SERVERS)
  }
  const folder = stackFolder()
  mkdirSync(folder, { recursive: true })
  const addresses = await sharedStack(folder, { again: true })
  for (const [name, address] of Object.entries(addresses)) console.log(`export ${name}=${address}`)
}

async function stop(): Promise<void> {
  const ended = await stopShared(stackFolder())
  if (ended.length > 0) console.log(`ended: ${ended.join(', ')}`)
  else if (hasDocker()) compose('stop', ...SERVERS)
  else console.log('nothing was running')
}

function hasDocker(): boolean {
  try {
    execFileSync('docker', ['info'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function compose(...args: string[]): void {
  // Standard output is for settings.
  execFileSync('docker', ['compose', ...args], { cwd: root, stdio: ['ignore', 2, 2] })
}
