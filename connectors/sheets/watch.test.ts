import { appendFileSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { watchSheet } from './watch.ts'

let folder: string
let file: string
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  folder = mkdtempSync(join(tmpdir(), 'watch-'))
  file = join(folder, 'venues.csv')
})
afterEach(() => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true, force: true })
})

function start(changed: () => Promise<void> = async () => {}) {
  const told = vi.fn(changed)
  const watch = watchSheet({ file, changed: told })
  /** Turns the clock to the next look and lets it end; returns how often it was told so far. */
  const look = async (times = 1) => {
    for (let n = 0; n < times; n++) {
      await vi.advanceTimersByTimeAsync(1000)
      while (vi.getTimerCount() === 0) await new Promise(resolve => setImmediate(resolve))
    }
    return told.mock.calls.length
  }
  return { told, watch, look }
}

describe('watching a sheet', () => {
  it('tells once of a file written again, also when size and mtime are as before', async () => {
    writeFileSync(file, 'abc')
    utimesSync(file, 1000, 1000)
    const { look } = start()
    expect(await look(3)).toBe(0)
    writeFileSync(file, 'xyz')
    utimesSync(file, 1000, 1000)
    expect(await look(2)).toBe(1)
    expect(await look(5)).toBe(1)
  })

  it('tells of a file written in two goes once it is whole', async () => {
    writeFileSync(file, 'abc')
    const { look } = start()
    writeFileSync(file, 'half')
    expect(await look()).toBe(0)
    writeFileSync(file, 'the whole')
    expect(await look()).toBe(0)
    expect(await look()).toBe(1)
  })

  it('tells within three looks of a file written all the time', async () => {
    writeFileSync(file, '')
    const { look } = start()
    for (const told of [0, 0, 1]) {
      appendFileSync(file, 'x')
      expect(await look()).toBe(told)
    }
  })

  it('tells of a file replaced by a rename, one that goes, and one that comes', async () => {
    writeFileSync(file, 'abc')
    const { look } = start()
    writeFileSync(file + '.new', 'abc')
    renameSync(file + '.new', file)
    expect(await look(2)).toBe(1)
    rmSync(file)
    expect(await look(2)).toBe(2)
    writeFileSync(file, 'abc')
    expect(await look(2)).toBe(3)
  })

  it('tells again when telling failed', async () => {
    writeFileSync(file, 'abc')
    let failures = 2
    const { look } = start(async () => {
      if (failures-- > 0) throw new Error('the log is not there')
    })
    writeFileSync(file, 'other')
    expect(await look(8)).toBe(3)
  })

  it('tells nothing once closed', () => {
    writeFileSync(file, 'abc')
    const { watch } = start()
    watch.close()
    expect(vi.getTimerCount()).toBe(0)
  })
})
