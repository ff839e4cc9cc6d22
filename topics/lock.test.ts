import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Database } from './local/database.ts'
import { lockFile } from './lock.ts'
import { LogError } from './log.ts'

let folder = ''
let path = ''
const children: ChildProcess[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'))
  path = join(folder, 'lock')
})
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child)
  rmSync(folder, { recursive: true, force: true })
})

/** A process that holds the lock. */
async function holder(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'testing', 'lock-child.ts'), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  await once(child.stdout!, 'data')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

function refusal(): LogError {
  try {
    lockFile(path).release()
  } catch (error) {
    if (error instanceof LogError) return error
    throw error
  }
  throw new Error('the lock was given')
}

it('is refused while another process holds it, naming that process, and granted once it is killed', async () => {
  const child = await holder()
  const { code, message } = refusal()
  expect(code).toBe('locked')
  expect(message).toContain(path)
  expect(message).toContain(`process ${child.pid} on ${hostname()}`)
  expect(message).toContain('lock-child.ts')
  expect(message).toMatch(/since \d{4}-\d\d-\d\dT/)
  await kill(child)
  lockFile(path).release()
})

it('is refused to its own process, by whatever path, until it is released', () => {
  const lock = lockFile(path)
  expect(refusal()).toMatchObject({ code: 'locked', message: expect.stringContaining(`this very process ${process.pid}`) })
  const other = join(folder, 'other')
  symlinkSync(path, other)
  expect(() => lockFile(other)).toThrow('is locked by')
  lock.release()
  const next = lockFile(path)
  lock.release() // a second time: the lock of another by now
  expect(refusal().code).toBe('locked')
  next.release()
})

it('outlives the object that stands for it, and refused attempts', async () => {
  lockFile(path)
  for (let i = 0; i < 20; i++) refusal()
  const child = spawn(process.execPath, [join(import.meta.dirname, 'testing', 'lock-child.ts'), path], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  children.push(child)
  let told = ''
  child.stderr!.on('data', chunk => {
    told += chunk
  })
  await once(child, 'close')
  expect(child.exitCode).toBe(1)
  expect(told).toContain(`is locked by process ${process.pid}`)
})

it('does not name the previous holder when the current one could not describe itself', async () => {
  await kill(await holder())
  rmSync(`${path}.pid`)
  mkdirSync(`${path}.pid`) // nothing can be written here
  const lock = lockFile(path)
  expect(refusal().message).toContain('is locked by another process')
  lock.release()
})

it('is refused as `unavailable` where there is no such folder, and over a file that is none of its own', () => {
  expect(() => lockFile(join(folder, 'no', 'lock'))).toThrow(expect.objectContaining({ code: 'unavailable' }))
  writeFileSync(path, 'x'.repeat(5000))
  expect(refusal()).toMatchObject({ code: 'unavailable', message: expect.stringContaining(path) })
})

it('of the local log names its holder too', () => {
  const log = new Database(path)
  const open = () => new Database(path)
  expect(open).toThrow(
    expect.objectContaining({ code: 'locked', message: expect.stringContaining(`very process ${process.pid}`) }),
  )
  log.close()
  open().close()
})
