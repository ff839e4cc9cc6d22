import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { codec } from '../../engine/testing/testkit.ts'
import type { Append } from '../../topics/log.ts'
import type { ConnectorContext } from '../connector.ts'
import { sheets } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'sheets-'))
afterEach(() => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true, force: true })
})

it('asks for a first reading, and watches its file from when its actor runs until it is about to stop', async () => {
  const file = join(folder, 'sheet.csv')
  writeFileSync(file, '')
  const appended: string[] = []
  const append = async (records: Append[]) => void appended.push(...records.map(({ topic }) => topic))
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const context = { log: { append }, codec, timeScale: 1 } as unknown as ConnectorContext
  const connection = sheets.configure({ VENUES_CSV: file }, [])?.connect(context)
  expect(vi.getTimerCount()).toBe(0)
  await connection?.started?.()
  expect([vi.getTimerCount(), appended]).toEqual([1, ['sheets.inbox']])
  await connection?.stopping?.()
  expect(vi.getTimerCount()).toBe(0)
})
