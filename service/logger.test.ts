import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openLogger } from './logger.ts'

let dir: string
let file: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'logger-'))
  file = join(dir, 'lines')
})
afterEach(() => rmSync(dir, { recursive: true }))
const lines = () =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => (JSON.parse(line) as { msg: string }).msg)

test('lines are gathered, and written by themselves a moment later', async () => {
  const { logger } = openLogger('info', file)
  for (let n = 0; n < 3; n++) logger.info(`line ${n}`)
  expect(lines()).toEqual([])
  await vi.waitFor(() => expect(lines()).toEqual(['line 0', 'line 1', 'line 2']))
})

test('a warning is written at once, with what was gathered before it', () => {
  const { logger } = openLogger('info', file)
  logger.info('before')
  logger.warn('look')
  expect(lines()).toEqual(['before', 'look'])
  logger.child({ part: 'x' }).error('broken')
  expect(lines()).toEqual(['before', 'look', 'broken'])
})

test('no more is gathered than a little, and nothing is lost at the end', () => {
  const { logger, flush } = openLogger('info', file)
  for (let n = 0; n < 1_000; n++) logger.info(`line ${n}`)
  const early = lines().length
  expect(early).toBeGreaterThan(500)
  expect(early).toBeLessThan(1_000)
  flush()
  expect(lines()).toEqual(Array.from({ length: 1_000 }, (_, n) => `line ${n}`))
})
