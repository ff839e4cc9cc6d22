import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { MemberFile } from './member-file.ts'

function pathInNewFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'member-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return join(folder, 'members', 'group.worker.member')
}

it('keeps the id for the next process of the instance', () => {
  const path = pathInNewFolder()
  const first = new MemberFile(path)
  first.hold()
  expect(first.read()).toBeNull()
  first.write('worker-1')
  first.write('worker-2')
  first.release()
  const second = new MemberFile(path)
  second.hold()
  expect(second.read()).toBe('worker-2')
  second.release()
})

it('belongs to one holder at a time', () => {
  const path = pathInNewFolder()
  const first = new MemberFile(path)
  first.hold()
  const second = new MemberFile(path)
  expect(() => second.hold()).toThrow(
    expect.objectContaining({ code: 'locked', message: expect.stringContaining(`${process.pid}`) }),
  )
  first.release()
  second.hold()
  second.release()
})

it('keeps nothing where no path is given', () => {
  const file = new MemberFile(null)
  file.hold()
  file.write('worker-1')
  expect(file.read()).toBeNull()
  file.release()
  expect(existsSync('null')).toBe(false)
})
