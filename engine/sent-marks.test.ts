import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Retryable } from './errors.ts'
import { SentMarks } from './sent-marks.ts'

/** What the system does with the next writes: takes all when null, else that many bytes, or fails. */
const faults: (number | string | null)[] = []
vi.mock('node:fs', async original => {
  const fs = await original<typeof import('node:fs')>()
  return {
    ...fs,
    writeSync: (file: number, bytes: Buffer, from: number, length: number, at: number) => {
      const fault = faults.shift() ?? null
      if (typeof fault === 'string') throw Object.assign(new Error(`${fault}: write`), { code: fault })
      return fs.writeSync(file, bytes, from, fault === null ? length : Math.min(length, fault), at)
    },
  }
})

const NONE = { epoch: 0, bytes: 0 }
let path = ''
let notes: SentMarks
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'notes-')), 'left')
  notes = SentMarks.create(path, 'me')
})
afterEach(() => {
  faults.length = 0
  notes.close()
  rmSync(join(path, '..'), { recursive: true, force: true })
})

/** What the next process finds. */
function reopened(known = NONE): SentMarks | null {
  notes.close()
  const found = SentMarks.open(path, 'me', known)
  if (found !== null) notes = found
  return found
}

function whole(known = NONE): SentMarks {
  const found = reopened(known)
  if (found === null) throw new Error('the notes are not trusted')
  return found
}

describe('a note', () => {
  it('outlives the process until its end is known', () => {
    for (const attempt of ['a', 'b', 'c']) notes.add(attempt)
    notes.delete('b')
    const again = whole()
    expect(['a', 'b', 'c', 'd'].filter(attempt => again.has(attempt))).toEqual(['a', 'c'])
  })

  it.each(['ENOSPC', 'EIO'])('that could not be written (%s) does not count, and is written when it is tried again', fault => {
    faults.push(fault)
    expect(() => notes.add('a')).toThrow(expect.objectContaining({ name: 'Retryable', code: 'note' }))
    expect(notes.has('a')).toBe(false)
    notes.add('a')
    expect(notes.has('a')).toBe(true)
    expect(whole().has('a')).toBe(true)
  })

  it('does not count before it is known how far the file was written', () => {
    faults.push(null, 'EIO')
    expect(() => notes.add('a')).toThrow(Retryable)
    expect(notes.has('a')).toBe(false)
    notes.add('b')
    const again = whole()
    expect([again.has('a'), again.has('b')]).toEqual([false, true])
  })

  it('that the system takes in pieces is written whole', () => {
    faults.push(1, 2)
    notes.add('attempt')
    notes.add('other')
    const again = whole()
    expect([again.has('attempt'), again.has('other')]).toEqual([true, true])
  })

  it('written half does not spoil the next', () => {
    notes.add('first')
    faults.push(7, 'ENOSPC')
    expect(() => notes.add('a long attempt')).toThrow(Retryable)
    notes.add('b')
    expect(readFileSync(path, 'utf8')).toBe('#me 1\n+first\n+b\n')
    const again = whole()
    expect(['first', 'a long attempt', 'b'].map(attempt => again.has(attempt))).toEqual([true, false, true])
  })

  it('is refused once the file is closed', () => {
    notes.close()
    expect(() => notes.add('a')).toThrow('the file is closed')
    expect(notes.has('a')).toBe(false)
  })

  it('of a process that was ended in the middle of a line does not count, and does not spoil the next', () => {
    notes.add('a')
    notes.close()
    appendFileSync(path, '+half of a long atte')
    const again = whole()
    again.add('b')
    expect(readFileSync(path, 'utf8')).toContain('+a\n+b\n')
    const last = whole()
    expect(['a', 'b', 'half of a long atte'].map(attempt => last.has(attempt))).toEqual([true, true, false])
  })
})

it('forgets without failing, and what could not be written is with the next note', () => {
  notes.add('a')
  faults.push('ENOSPC')
  notes.delete('a')
  expect(notes.has('a')).toBe(false)
  notes.add('b')
  const again = whole()
  expect([again.has('a'), again.has('b')]).toEqual([false, true])
})

describe('the file, when it has grown,', () => {
  const churn = () => {
    for (let i = 0; i < 15_000; i++) {
      notes.add(`x${i}`)
      notes.delete(`x${i}`)
    }
  }

  it('is written anew with what still counts', () => {
    notes.add('kept')
    churn()
    expect(readFileSync(path, 'utf8').length).toBeLessThan(200_000)
    expect(notes.extent.epoch).toBe(2)
    notes.add('after')
    const again = whole(notes.extent)
    expect([again.has('kept'), again.has('after'), again.has('x1')]).toEqual([true, true, false])
  })

  it('stays in use when it cannot be written anew', () => {
    notes.add('kept')
    mkdirSync(`${path}.new`)
    churn()
    expect(notes.extent.epoch).toBe(1)
    notes.add('after')
    const again = whole(notes.extent)
    expect([again.has('kept'), again.has('after'), again.has('x1')]).toEqual([true, true, false])
  })
})

describe('a file that is not the one last written is not trusted:', () => {
  beforeEach(() => {
    for (const attempt of ['a', 'b', 'c']) notes.add(attempt)
  })
  const text = () => readFileSync(path, 'utf8')

  it.each<[string, () => void]>([
    ['missing', () => rmSync(path)],
    ['empty', () => writeFileSync(path, '')],
    ['cut in a line', () => truncateSync(path, text().length - 1)],
    ['cut by a line', () => truncateSync(path, text().length - 3)],
    ['cut to its header', () => truncateSync(path, text().indexOf('\n') + 1)],
    ['full of zeros', () => writeFileSync(path, Buffer.alloc(text().length))],
    ['zeros at its end', () => writeFileSync(path, `${text().slice(0, -3)}\0\0\n`)],
    ["another's", () => writeFileSync(path, text().replace('#me', '#you'))],
    ['without a header', () => writeFileSync(path, `+a\n+b\n+c\n${'+d\n'.repeat(9)}`)],
    ['without its mark', () => rmSync(`${path}.mark`)],
    ['with an empty mark', () => writeFileSync(`${path}.mark`, '')],
  ])('%s', (_what, harm) => {
    harm()
    expect(reopened()).toBeNull()
  })

  it('an older copy, with its mark', () => {
    const older = [path, `${path}.mark`].map(file => [file, readFileSync(file)] as const)
    notes.add('d')
    const known = notes.extent
    for (const [file, content] of older) writeFileSync(file, content)
    expect(reopened(known)).toBeNull()
    expect(reopened(NONE)).not.toBeNull() // that the store knows more is what tells
  })

  it('and a new owner begins, for whom what has left still has', () => {
    writeFileSync(path, '+a\n+b\n-a\n+c')
    expect(reopened()).toBeNull()
    notes = SentMarks.create(path, 'you')
    expect(['a', 'b', 'c'].map(attempt => notes.has(attempt))).toEqual([false, true, false])
    expect(existsSync(`${path}.new`)).toBe(false)
    notes.close()
    expect(SentMarks.open(path, 'me', NONE)).toBeNull()
    notes = SentMarks.open(path, 'you', NONE) as SentMarks
    expect(notes.has('b')).toBe(true)
  })
})
