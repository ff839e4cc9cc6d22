/**
 * Where the real servers come from: Kafka and Apicurio Registry from Maven Central, kept in a folder outside the repository;
 * Java, Maven, Redis and Postgres from the machine, or from Debian's packages where this is Debian and we are root.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { withFileLock } from './lock.ts'

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
  return BMA_STACK_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'bma-social-stack')
}

/** Path of a program (of Postgres: of the folder of its programs); installs it where that is possible. @throws {StackMissing} */
export async function program(name: Program): Promise<string> {
  const there = await find(name)
  if (there !== null) return there
  const wanted = `"${name}" is not installed (Debian: apt-get install ${PACKAGES[name]})`
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) throw new StackMissing(wanted)
  return installing(async () => {
    const meanwhile = await find(name)
    if (meanwhile !== null) return meanwhile
    try {
      await install(PACKAGES[name])
    } catch (error) {
      throw new StackMissing(`${wanted}: ${(error as Error).message.slice(0, 500)}`, { cause: error })
    }
    const installed = await find(name)
    if (installed === null) throw new StackMissing(`${wanted}: the package has no such program`)
    return installed
  })
}

/** Class path of the broker. */
export async function kafkaClasspath(): Promise<string> {
  const pom = join(import.meta.dirname, 'pom.xml')
  const folder = await fromMaven('kafka-4.1.2', '-f', pom, 'dependency:copy-dependencies', '-DincludeScope=runtime')
  return join(folder, '*')
}

/** The registry's jar. */
export async function registryJar(): Promise<string> {
  const folder = await fromMaven('apicurio-2.6.13', 'dependency:copy', `-Dartifact=${REGISTRY}`)
  return join(folder, readdirSync(folder).find(name => name.endsWith('-runner.jar')) as string)
}

/** A folder of the cache with what Maven copies into it, archives unpacked. */
async function fromMaven(name: string, ...goals: string[]): Promise<string> {
  const folder = join(cacheFolder(), name)
  if (existsSync(folder)) return folder
  const mvn = await program('mvn')
  return installing(async () => {
    if (existsSync(folder)) return folder
    const partial = `${folder}.partial`
    rmSync(partial, { recursive: true, force: true })
    mkdirSync(partial)
    try {
      await run(mvn, ['-q', '-B', ...goals, `-DoutputDirectory=${partial}`], { maxBuffer: 16 * 1024 * 1024, timeout: 600_000 })
      for (const archive of readdirSync(partial).filter(file => file.endsWith('.tar.gz'))) {
        await run('tar', ['xzf', join(partial, archive), '-C', partial])
        rmSync(join(partial, archive))
      }
    } catch (error) {
      throw new StackMissing(`Maven Central gave no ${name}: ${(error as Error).message.slice(0, 500)}`, { cause: error })
    }
    renameSync(partial, folder)
    return folder
  })
}

/** One at a time: neither apt-get nor Maven's own folder stands two. */
function installing<T>(work: () => Promise<T>): Promise<T> {
  mkdirSync(cacheFolder(), { recursive: true })
  return withFileLock(join(cacheFolder(), 'install.lock'), work)
}

async function find(name: Program): Promise<string | null> {
  if (name === 'postgres') {
    const root = '/usr/lib/postgresql'
    const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
    const bin = versions.map(v => join(root, v, 'bin')).find(folder => existsSync(join(folder, 'postgres')))
    if (bin !== undefined) return bin
  }
  const folder = process.env.PATH?.split(':').find(folder => existsSync(join(folder, name)))
  if (folder === undefined) return null
  return name === 'postgres' ? folder : join(folder, name)
}

/** One package of Debian. */
async function install(name: string): Promise<void> {
  const get = (...args: string[]) =>
    run('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=120', ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      maxBuffer: 64 * 1024 * 1024,
    })
  // No server of the package is to be started by it.
  const policy = '/usr/sbin/policy-rc.d'
  const own = !existsSync(policy)
  if (own) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    await get('install', '-y', '--no-install-recommends', name).catch(async () => {
      await get('update')
      await get('install', '-y', '--no-install-recommends', name)
    })
  } finally {
    if (own) rmSync(policy, { force: true })
  }
}
