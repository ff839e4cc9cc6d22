import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { StackMissing } from './install.ts'
import { abandonShared, type Kept, runningStack, sharedStack, startOf, stopShared } from './shared.ts'
import { describeWithStack } from './vitest.ts'

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await stopShared(folder)
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shared-'))
  folders.push(folder)
  return folder
}

/** Another process that asks for the stack of this folder, and prints its addresses. */
function other(folder: string, only: string, stderr: 'inherit' | 'pipe' = 'inherit'): ChildProcess {
  const script = `import { sharedStack } from ${JSON.stringify(join(import.meta.dirname, 'shared.ts'))}
    console.log(JSON.stringify(await sharedStack(${JSON.stringify(folder)}, { only: ${JSON.stringify([only])} })))`
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', stderr] })
}

const written = (folder: string): Kept => JSON.parse(readFileSync(join(folder, 'stack.json'), 'utf8'))
const pidsIn = (folder: string) => Object.values(written(folder).processes).map(({ pid }) => pid)

await describeWithStack('a stack that many share', () => {
  it('is started once, outlives who started it, and is ended for all', async () => {
    const folder = newFolder()
    const others = [other(folder, 'redis'), other(folder, 'redis'), other(folder, 'redis')]
    const printed = await Promise.all(others.map(async ({ stdout }) => JSON.parse(await text(stdout!))))
    expect(new Set(printed.map(env => env.REDIS_URL)).size).toBe(1)
    expect(runningStack(folder)).toEqual(printed[0])
    const { folder: data } = written(folder)
    const [pid] = pidsIn(folder)
    expect(await stopShared(folder)).toEqual(['Redis'])
    expect(startOf(pid!)).toBeNull()
    expect([existsSync(folder), existsSync(data)]).toEqual([false, false])
    expect(await stopShared(folder)).toEqual([])
  })

  it('is ended also when who started it was killed half-way', async () => {
    const folder = newFolder()
    const starter = other(folder, 'kafka')
    await vi.waitFor(() => expect(pidsIn(folder)).toHaveLength(1), 30_000)
    starter.kill('SIGKILL')
    const [pid] = pidsIn(folder)
    expect(runningStack(folder)).toBeNull()
    expect(await stopShared(folder)).toEqual(['Kafka'])
    expect(startOf(pid!)).toBeNull()
  }, 60_000)

  it('is ended at once for a process that exits, and by its starter where it was still being started', async () => {
    const folder = newFolder()
    const starter = other(folder, 'kafka', 'pipe')
    await vi.waitFor(() => expect(existsSync(join(folder, 'stack.json'))).toBe(true), 10_000)
    const { folder: data } = written(folder)
    abandonShared(folder)
    expect(await text(starter.stderr!)).toContain(`the stack of ${folder} has been stopped`)
    expect([existsSync(folder), existsSync(data)]).toEqual([false, false])

    const second = newFolder()
    await sharedStack(second, { only: ['redis', 'postgres'] })
    const pids = pidsIn(second)
    const { folder: secondData } = written(second)
    abandonShared(second)
    expect(pids.map(startOf)).toEqual([null, null])
    expect([existsSync(second), existsSync(secondData)]).toEqual([false, false])
  }, 60_000)

  it('is started anew, as a whole, when a server of it has died', async () => {
    const folder = newFolder()
    const before = await sharedStack(folder, { only: ['redis', 'postgres'] })
    const { Redis, Postgres } = written(folder).processes
    process.kill(Redis!.pid, 'SIGKILL')
    await vi.waitFor(() => expect(runningStack(folder)).toBeNull())
    const after = await sharedStack(folder, { only: ['redis', 'postgres'] })
    expect(after.DATABASE_URL).not.toBe(before.DATABASE_URL)
    expect(startOf(Postgres!.pid)).toBeNull()
    expect(runningStack(folder)).toEqual(after)
  })
})

describe('what is written down of a stack', () => {
  it('never ends a process that was given the same id later', async () => {
    const folder = newFolder()
    const bystander = spawn('sleep', ['60'])
    const processes = { Redis: { pid: bystander.pid, started: '1' } }
    const data = mkdtempSync(join(tmpdir(), 'shared-'))
    writeFileSync(join(folder, 'stack.json'), JSON.stringify({ folder: data, processes, env: { REDIS_URL: 'redis://…' } }))
    expect(runningStack(folder)).toBeNull()
    expect(await stopShared(folder)).toEqual([])
    expect(startOf(bystander.pid!)).not.toBeNull()
    bystander.kill()
  })

  it('tells those who wait why it could not be started, and is no hindrance to who tries again', async () => {
    const folder = newFolder()
    const failed = { missing: true, message: '"java" is not installed' }
    const data = mkdtempSync(join(tmpdir(), 'shared-'))
    writeFileSync(join(folder, 'stack.json'), JSON.stringify({ folder: data, processes: {}, failed }))
    await expect(sharedStack(folder)).rejects.toThrow(new StackMissing('"java" is not installed'))
    expect(await sharedStack(folder, { only: [], again: true })).toEqual({})
    expect(existsSync(data)).toBe(false)
  })
})
