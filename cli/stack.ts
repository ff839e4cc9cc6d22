/**
 * `npm run stack`: the real servers, until `npm run stack:stop`. Their addresses as settings: `eval "$(npm run -s stack)"`.
 * Where a Docker engine runs, those of docker-compose.yml instead, which only containers of that set can reach.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { sharedStack, stackFolder, stopShared } from '../test/stack/shared.ts'
import { main, Wrong } from './command.ts'

const root = join(import.meta.dirname, '..')
const SERVERS = ['kafka-1', 'kafka-2', 'kafka-3', 'registry', 'redis', 'postgres']

await main({
  name: 'npm run stack --',
  summary:
    'Starts real Kafka, schema registry, Redis and Postgres for tests, or stops them, and prints their addresses as settings.',
  options: {},
  words: 'start | stop',
  check: (_, words) => void actionOf(words),
  run: async (_, words) => {
    await actionOf(words)()
    return 0
  },
})

/** @throws {Wrong} */
function actionOf([word = 'start', ...more]: readonly string[]): () => Promise<void> {
  const actions: Readonly<Record<string, () => Promise<void>>> = { start, stop }
  const action = more.length === 0 && Object.hasOwn(actions, word) ? actions[word] : undefined
  if (action === undefined) throw new Wrong('either start or stop')
  return action
}

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
