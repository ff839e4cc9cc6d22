import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Run } from '../../engine/actor.ts'
import type { ReadSheet, SheetPartInput } from '../../schemas/types.ts'
import { sheetFilePort } from './file.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sheet-'))
  file = join(folder, 'venues.csv')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function read(input: Partial<ReadSheet> = {}): Promise<readonly SheetPartInput[]> {
  const run: Run = { attempt: 'a1', key: 'venues', notAfter: null, signal: new AbortController().signal, leave: () => {} }
  const found = await sheetFilePort({ file, clock: () => 1000 })(
    { sheet: 'venues', buckets: 4, fingerprint: null, ...input },
    run,
  )
  return Array.isArray(found) ? found : [found as SheetPartInput]
}

const csv = (ids: number[]) => ['venue_id,venue_name', ...ids.map(id => `${id},Venue ${id}`)].join('\n')

describe('reading a sheet from a file', () => {
  it('gives a summary, then every bucket with all of its rows, empty ones too', async () => {
    writeFileSync(file, csv([1, 2]) + '\n3,\n')
    const [summary, refusals, ...buckets] = await read()
    expect(summary?.summary).toMatchObject({ rows: 2, refused: 1, cells: 0 })
    expect(refusals).toMatchObject({ refusals: summary?.refusals })
    expect(summary?.refusals).toMatchObject([{ line: 4, reason: 'venue_name is missing', refused: true }])
    expect(buckets.map(part => part.bucket)).toEqual([0, 1, 2, 3])
    expect(buckets.flatMap(part => part.rows?.map(row => row.venue) ?? []).sort()).toEqual(['1', '2'])
    expect(buckets.flatMap(part => part.kept ?? [])).toEqual(['3'])
    expect(buckets.at(-1)?.refusals).toHaveLength(1)
    expect(new Set([summary?.fingerprint, ...buckets.map(part => part.fingerprint)]).size).toBe(1)
  })

  it('puts a venue into the same bucket whatever else is in the sheet', async () => {
    const bucketOf7 = async () => (await read()).find(part => part.rows?.some(row => row.venue === '7'))?.bucket
    writeFileSync(file, csv([7]))
    const alone = await bucketOf7()
    writeFileSync(file, csv([9, 8, 7, 6]))
    expect(await bucketOf7()).toBe(alone)
    expect(alone).toBeTypeOf('number')
  })

  it('answers the same content as unchanged, and any other not', async () => {
    writeFileSync(file, csv([1]))
    const fingerprint = (await read())[0]?.fingerprint ?? ''
    expect(await read({ fingerprint })).toEqual([
      expect.objectContaining({ summary: expect.objectContaining({ unchanged: true }) }),
    ])
    writeFileSync(file, csv([1]) + ' ')
    expect((await read({ fingerprint }))[0]?.summary?.unchanged).toBeUndefined()
  })

  it('says what is wrong with a file that is missing, empty, a folder, or no sheet', async () => {
    const errorOf = async () => (await read()).map(part => part.summary?.error)
    expect(await errorOf()).toEqual(['missing'])
    writeFileSync(file, '')
    expect(await errorOf()).toEqual(['empty'])
    writeFileSync(file, 'a,b\n1,2')
    expect(await errorOf()).toEqual(['no_header: line 1 has no column venue_id, venue_name'])
    rmSync(file)
    file = folder
    expect((await errorOf())[0]).toMatch(/^unreadable/)
  })

  it('refuses rows in a broken encoding and keeps the others', async () => {
    writeFileSync(file, Buffer.concat([Buffer.from(csv([1]) + '\n2,'), Buffer.from([0xe0, 0xb8]), Buffer.from('x\n')]))
    const [summary] = await read()
    expect(summary?.summary).toMatchObject({ rows: 1, refused: 1 })
    expect(summary?.refusals?.[0]?.reason).toMatch(/not UTF-8 text/)
  })

  it('refuses a sheet whose bucket would not fit into a record', async () => {
    const notes = 'ท'.repeat(2000)
    const lines = Array.from({ length: 400 }, (_, id) => `${id},Venue ${id},${notes}`)
    writeFileSync(file, ['venue_id,venue_name,notes', ...lines].join('\n'))
    const parts = await read()
    expect(parts).toHaveLength(1)
    expect(parts[0]?.summary?.error).toMatch(/^too_large: the \d+ rows of bucket \d/)
  })
})
