/**
 * Where the real servers come from: Kafka and Apicurio Registry from Maven Central, kept in a folder outside the repository;
 * Java, Maven, Redis and Postgres from the machine, or from Debian's packages where this is Debian and we are root.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Something that the servers need cannot be had here. */
export class StackMissing extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(what, options)
    this.name = 'StackMissing'
  }
}

const REGISTRY = 'io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all'
const PACKAGES = {
  java: 'openjdk-17-jre-headless',
  mvn: 'maven',
  'redis-server': 'redis-server',
  postgres: 'postgresql',
} as const
export type Program = keyof typeof PACKAGES

export function cacheFolder(): string {
  const { BMA_STACK_CACHE, XDG_CACHE_HOME } = process.env
  return BMA_STACK_CACHE ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'bma-social-stack')
}

/** Path of a program; installs it where that is possible. @throws {StackMissing} */
export async function program(name: Program): Promise<string> {
  const found = (await find(name)) ?? ((await install(PACKAGES[name])) ? await find(name) : null)
  if (found === null) throw new StackMissing(`"${name}" is not installed (Debian: apt-get install ${PACKAGES[name]})`)
  return found
}

/** Class path of the broker. */
export function kafkaClasspath(): Promise<string> {
  return once('kafka-4.1.2', async folder => {
    const pom = join(import.meta.dirname, 'pom.xml')
    await maven('-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`, '-DincludeScope=runtime')
  }).then(folder => join(folder, '*'))
}

/** The registry's jar. */
export function registryJar(): Promise<string> {
  return once('apicurio-2.6.13', async folder => {
    await maven('dependency:copy', `-Dartifact=${REGISTRY}`, `-DoutputDirectory=${folder}`)
    const [archive] = readdirSync(folder).filter(name => name.endsWith('.tar.gz'))
    await run('tar', ['xzf', join(folder, archive as string), '-C', folder])
    rmSync(join(folder, archive as string))
  }).then(folder => join(folder, readdirSync(folder).find(name => name.endsWith('-runner.jar')) as string))
}

async function maven(...goals: string[]): Promise<void> {
  const mvn = await program('mvn')
  try {
    await run(mvn, ['-q', '-B', ...goals], { maxBuffer: 16 * 1024 * 1024 })
  } catch (error) {
    throw new StackMissing(`Maven Central gave nothing: ${(error as Error).message.slice(0, 500)}`, { cause: error })
  }
}

/** Fills a folder of the cache the first time; others that want it at the same time wait. */
async function once(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), name)
  const lock = `${folder}.lock`
  mkdirSync(cacheFolder(), { recursive: true })
  for (let waited = 0; !existsSync(folder); waited += 200) {
    try {
      mkdirSync(lock)
    } catch {
      // Somebody else fills it; one that has died leaves its lock.
      if (waited > 600_000) rmSync(lock, { recursive: true, force: true })
      await sleep(200)
      continue
    }
    const partial = `${folder}.${process.pid}`
    try {
      mkdirSync(partial, { recursive: true })
      await fill(partial)
      renameSync(partial, folder)
    } finally {
      rmSync(partial, { recursive: true, force: true })
      rmSync(lock, { recursive: true, force: true })
    }
  }
  return folder
}

async function find(name: Program): Promise<string | null> {
  if (name === 'postgres') {
    const root = '/usr/lib/postgresql'
    const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
    const bin = versions.map(v => join(root, v, 'bin')).find(folder => existsSync(join(folder, 'postgres')))
    if (bin !== undefined) return bin
  }
  try {
    const { stdout } = await run('which', [name])
    return name === 'postgres' ? join(stdout.trim(), '..') : stdout.trim()
  } catch {
    return null
  }
}

let installing: Promise<unknown> = Promise.resolve()

/** One package of Debian. False where this is not Debian, or not allowed. */
async function install(name: string): Promise<boolean> {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return false
  // Only one at a time; and no server of the package is to be started by it.
  const policy = '/usr/sbin/policy-rc.d'
  const own = !existsSync(policy)
  const task = installing.then(async () => {
    if (own) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const get = (...args: string[]) =>
      run('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=120', ...args], { env, maxBuffer: 64 * 1024 * 1024 })
    try {
      await get('install', '-y', '--no-install-recommends', name).catch(async () => {
        await get('update')
        await get('install', '-y', '--no-install-recommends', name)
      })
      return true
    } catch {
      return false
    } finally {
      if (own) rmSync(policy, { force: true })
    }
  })
  installing = task
  return task
}
