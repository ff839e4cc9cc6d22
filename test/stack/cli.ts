/** `npm run stack`, `npm run stack:stop`. */
import { execFileSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from './install.ts'
import { sharedStack, stopShared } from './shared.ts'

const root = join(import.meta.dirname, '../..')
const folder = cacheFolder()

/** A Docker engine answers here. */
function hasDocker(): boolean {
  try {
    execFileSync('docker', ['info'], { stdio: 'ignore' })
    return existsSync(join(root, 'docker-compose.yml'))
  } catch {
    return false
  }
}

const compose = (...args: string[]) => execFileSync('docker', ['compose', ...args], { cwd: root, stdio: 'inherit' })
const SERVERS = ['kafka-1', 'kafka-2', 'kafka-3', 'registry', 'redis', 'postgres']

if (process.argv[2] === 'stop') {
  const ended = await stopShared(folder)
  if (ended.length > 0) console.log(`ended: ${ended.join(', ')}`)
  else if (hasDocker()) compose('stop', ...SERVERS)
  else console.log('nothing was running')
} else if (hasDocker()) {
  console.log('a Docker engine is here: docker compose up')
  compose('up', '-d', ...SERVERS)
} else {
  rmSync(join(folder, 'stack.failed'), { force: true })
  const { env } = await sharedStack(folder)
  for (const [name, value] of Object.entries(env)) console.log(`export ${name}=${value}`)
}
