import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'

it('where a Docker engine answers, the stack is that of docker-compose.yml, and no setting is printed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cli-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const docker = join(folder, 'docker')
  writeFileSync(docker, `#!/bin/sh\necho "$PWD: $@" >> ${folder}/calls\necho started\n`)
  chmodSync(docker, 0o755)
  const env = { ...process.env, BMA_STACK_CACHE: join(folder, 'cache'), PATH: folder + delimiter + process.env.PATH }
  const cli = (command: string) =>
    spawnSync(process.execPath, [join(import.meta.dirname, 'stack.ts'), command], { env, encoding: 'utf8' })

  const { status, stdout, stderr } = cli('start')
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
  expect(stderr).toContain('A Docker engine is here')
  expect(cli('stop').status).toBe(0)

  const root = join(import.meta.dirname, '..')
  const servers = 'kafka-1 kafka-2 kafka-3 registry redis postgres'
  const calls = readFileSync(join(folder, 'calls'), 'utf8').split('\n')
  expect(calls).toContain(`${root}: compose up -d ${servers}`)
  expect(calls).toContain(`${root}: compose stop ${servers}`)
  const compose = readFileSync(join(root, 'docker-compose.yml'), 'utf8')
  for (const server of servers.split(' ')) expect(compose).toContain(`\n  ${server}:\n`)
})
