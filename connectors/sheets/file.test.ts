import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Run } from '../../engine/actor.ts'
import type { ReadSheet, SheetPartInput } from '../../schemas/types.ts'
import { type SheetFileSettings, sheetFilePort } from './file.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sheet-'))
  file = join(folder, 'venues.csv')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function read(
  input: Partial<ReadSheet> = {},
  settings: Partial<SheetFileSettings> = {},
): Promise<readonly SheetPartInput[]> {
  const run: Run = { attempt: 'a1', key: 'venues', notAfter: null, signal: new AbortController().signal, beforeSend: () => {} }
  const found = await sheetFilePort({ file, clock: () => 1_750_000_000_000, ...settings })(
    { sheet: 'venues', buckets: 4, fingerprint: null, sample: [], ...input },
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

  it('tells every cell that could not be read, of ten thousand rows too, and the first of them with the summary', async () => {
    const rows = Array.from({ length: 10_000 }, (_, n) => `${n + 1},Venue ${n + 1},four,30/2/2026`)
    writeFileSync(file, ['venue_id,venue_name,zone_count,last_issue_date', ...rows].join('\n'))
    const [summary, ...parts] = await read({ buckets: 64 })
    expect(summary?.summary).toMatchObject({ rows: 10_000, refused: 0, cells: 20_000 })
    expect(Buffer.byteLength(JSON.stringify(summary?.refusals))).toBeLessThan(8_000)
    expect(parts.at(-1)?.refusals).toEqual(summary?.refusals)
    const pages = parts.filter(part => part.bucket === undefined).map(part => part.refusals ?? [])
    expect(pages.every(page => Buffer.byteLength(JSON.stringify(page)) < 256 * 1024)).toBe(true)
    expect(pages.flat().map(({ line, column }) => `${line} ${column}`)).toEqual(
      rows.flatMap((_, n) => [`${n + 2} zone_count`, `${n + 2} last_issue_date`]),
    )
  })

  it('reads phones by the calling code of now: with another code the same file is another sheet', async () => {
    writeFileSync(file, 'venue_id,venue_name,contact_phone\n1,House,030 901820\n')
    const phones = (parts: readonly SheetPartInput[]) => parts.flatMap(part => part.rows?.map(row => row.contactPhone) ?? [])
    let code = '49'
    const country = () => code
    const german = await read({}, { country })
    expect(phones(german)).toEqual(['+4930901820'])
    const fingerprint = german[0]?.fingerprint ?? null
    expect((await read({ fingerprint }, { country }))[0]?.summary).toMatchObject({ unchanged: true })
    code = '66'
    expect(phones(await read({ fingerprint }, { country }))).not.toContain('+4930901820')
  })

  it('tells how many of some venues are still there', async () => {
    writeFileSync(file, csv([1, 2, 3]))
    const sample = (await read())[0]?.summary?.sample ?? []
    expect(sample).toHaveLength(3)
    writeFileSync(file, csv([2, 3, 4]) + '\n1,\n')
    expect((await read({ sample }))[0]?.summary).toMatchObject({ rows: 3, known: 3 })
    writeFileSync(file, csv([1, 2, 3]).replaceAll('Venue', 'House'))
    expect((await read({ sample }))[0]?.summary).toMatchObject({ rows: 3, known: 0 })
  })

  it('says whose the sheet is, and what the operator has accepted', async () => {
    writeFileSync(file, csv([1]))
    const [{ source, accept } = {}] = await read({}, { accept: 'x' })
    expect(source).toMatch(/^venues\.csv@[0-9a-f]{8}$/)
    expect(accept).toBe('x')
    expect((await read({}, { source: 'demo' }))[0]).toMatchObject({ source: 'demo', accept: '' })
    const before = file
    file = join(folder, 'other.csv')
    writeFileSync(file, csv([1]))
    expect((await read())[0]?.source).not.toBe(source)
    file = before
  })

  it('reads the same bytes anew once dates are to be read in another order', async () => {
    writeFileSync(file, 'venue_id,venue_name,last_issue_date\n1,A,4/5/2026')
    const [{ fingerprint } = {}] = await read()
    const again = { fingerprint: fingerprint ?? null }
    expect((await read(again))[0]?.summary?.unchanged).toBe(true)
    const parts = await read(again, { dateOrder: 'dmy' })
    expect(parts.flatMap(part => part.rows ?? [])).toMatchObject([{ lastIssueDate: '2026-05-04' }])
  })

  it('reads UTF-16 and Windows-874, and names what is no text', async () => {
    writeFileSync(file, Buffer.from('\ufeff' + csv([1]).replaceAll(',', '\t'), 'utf16le'))
    expect((await read())[0]?.summary).toMatchObject({ rows: 1 })
    writeFileSync(file, Buffer.concat([Buffer.from('venue_id,venue_name\n1,'), Buffer.from([0xba, 0xe9, 0xd2, 0xb9])]))
    expect((await read()).flatMap(part => part.rows ?? [])).toMatchObject([{ name: 'บ้าน' }])
    writeFileSync(file, 'PK\x03\x04 xl/workbook.xml')
    expect((await read())[0]?.summary?.error).toMatch(/^not_csv: the file is an \.xlsx workbook/)
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
    expect((await read())[0]?.summary?.code).toBe('missing')
    writeFileSync(file, '')
    expect(await errorOf()).toEqual(['empty'])
    writeFileSync(file, 'a,b\n1,2')
    expect(await errorOf()).toEqual(['no_header: line 1 has no column venue_id, venue_name'])
    rmSync(file)
    file = folder
    expect((await errorOf())[0]).toMatch(/^unreadable/)
    expect((await read())[0]?.summary?.code).toBe('unreadable')
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
    expect(parts[0]?.summary).toMatchObject({
      code: 'too_large',
      error: expect.stringMatching(/^too_large: the \d+ rows of bucket \d/),
    })
  })
})
