import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { freePort, Server } from './server.ts'
import { startOf } from './shared.ts'

const folder = mkdtempSync(join(tmpdir(), 'server-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const logFile = join(folder, 'log')

describe('a server process', () => {
  it('shows the end of its output when it does not come up', async () => {
    const server = new Server({
      name: 'Broken',
      command: 'sh',
      args: ['-c', 'echo no such volume >&2; exit 3'],
      logFile,
      ready: async () => false,
    })
    await expect(server.start()).rejects.toThrow(/^Broken did not start: it ended with 3\n.*no such volume/)
  })

  it('is given up, and ended, when it does not answer in time', async () => {
    let pid = 0
    const server = new Server({
      name: 'Mute',
      command: 'sleep',
      args: ['60'],
      logFile,
      ready: async () => false,
      readyMs: 100,
      spawned: (_, id) => {
        pid = id
      },
    })
    await expect(server.start()).rejects.toThrow('Mute did not start: no answer within 100 ms')
    expect(startOf(pid)).toBeNull()
  })

  it('is not taken to be up because another one answers in its place', async () => {
    const server = new Server({ name: 'Late', command: 'false', args: [], logFile, ready: () => ended(server) })
    await expect(server.start()).rejects.toThrow('Late did not start: it ended with 1')
  })

  it.runIf(existsSync('/usr/bin/setpriv'))('ends with its parent, even when that is killed', async () => {
    const script = `import { Server } from ${JSON.stringify(join(import.meta.dirname, 'server.ts'))}
      const server = new Server({ name: 'Child', command: 'sleep', args: ['60'], logFile: ${JSON.stringify(logFile)}, ready: async () => true })
      await server.start()
      console.log(server.pid)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const pid = Number(await new Promise(resolve => parent.stdout.once('data', resolve)))
    expect(startOf(pid)).not.toBeNull()
    parent.kill('SIGKILL')
    await vi.waitFor(() => expect(startOf(pid)).toBeNull())
  })
})

describe('a free port', () => {
  it('is never one that the kernel gives to clients, nor given twice', async () => {
    const ports = await Promise.all(Array.from({ length: 200 }, freePort))
    expect(new Set(ports).size).toBe(200)
    expect(Math.max(...ports)).toBeLessThan(32_768)
  })
})

/** True, but only once the process has ended. */
async function ended(server: Server): Promise<boolean> {
  await vi.waitFor(() => expect(startOf(server.pid)).toBeNull())
  return true
}
