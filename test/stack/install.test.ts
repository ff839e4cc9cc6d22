import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { program, StackMissing } from './install.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'install-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

/** A Maven that notes each call and runs `then`, with the folder to fill as `$out`. */
function fakeMaven(then: string): NodeJS.ProcessEnv {
  const mvn = join(folder, 'mvn')
  const script = `#!/bin/sh
    for arg; do case $arg in -DoutputDirectory=*) out=\${arg#*=};; esac; done
    echo called >> ${folder}/calls
    ${then}`
  writeFileSync(mvn, script)
  chmodSync(mvn, 0o755)
  return { ...process.env, BMA_STACK_CACHE: join(folder, 'cache'), PATH: folder + delimiter + process.env.PATH }
}

async function classpathIn(env: NodeJS.ProcessEnv): Promise<string> {
  const script = `import { kafkaClasspath } from ${JSON.stringify(join(import.meta.dirname, 'install.ts'))}
    console.log(await kafkaClasspath())`
  return (await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env })).stdout.trim()
}

describe('what the servers need', () => {
  it('is named when it cannot be had', async () => {
    vi.stubEnv('PATH', folder)
    vi.spyOn(process, 'getuid').mockReturnValue(1000)
    await expect(program('java')).rejects.toThrow(
      new StackMissing('"java" is not installed (Debian: apt-get install openjdk-17-jre-headless)'),
    )
  })

  it('is fetched once, however many want it', async () => {
    const env = fakeMaven('sleep 0.3; echo jar > "$out/kafka.jar"')
    const paths = await Promise.all([classpathIn(env), classpathIn(env), classpathIn(env)])
    expect(new Set(paths)).toEqual(new Set([join(folder, 'cache/kafka-4.1.2/*')]))
    expect(readFileSync(join(folder, 'calls'), 'utf8')).toBe('called\n')
  })

  it('is not taken for there when fetching it broke off, and is fetched the next time', async () => {
    await expect(classpathIn(fakeMaven('echo half > "$out/kafka.jar"; echo refused >&2; exit 1'))).rejects.toThrow(
      /StackMissing: Maven Central gave no kafka-4\.1\.2: .*refused/s,
    )
    await classpathIn(fakeMaven('ls "$out" > "$out/found"'))
    expect(readFileSync(join(folder, 'cache/kafka-4.1.2/found'), 'utf8')).toBe('found\n')
  })
})
