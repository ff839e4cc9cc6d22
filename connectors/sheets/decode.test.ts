import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { decode } from './decode.ts'

const SHEET = 'venue_id,venue_name\n1,บ้านทะเล\n2,Blue Lagoon\n'
const wide = (text: string) => Buffer.from(text, 'utf16le')
const swapped = (bytes: Buffer) => Buffer.from(bytes).swap16()
/** Thai letters lie 0xA0 above their place in Unicode's block. */
const thai = (text: string) =>
  Buffer.from(
    [...text].map(letter =>
      (letter.codePointAt(0) as number) < 0x80 ? letter.charCodeAt(0) : letter.charCodeAt(0) - 0xe00 + 0xa0,
    ),
  )

describe('the text of a file', () => {
  it.each([
    ['UTF-8', Buffer.from(SHEET)],
    ['UTF-8 with a mark', Buffer.from('\ufeff' + SHEET)],
    ['UTF-16 with a mark', wide('\ufeff' + SHEET)],
    ['UTF-16 without one', wide(SHEET)],
    ['UTF-16 of the other order', swapped(wide('\ufeff' + SHEET))],
    ['UTF-16 of the other order without a mark', swapped(wide(SHEET))],
    ['Windows-874', thai(SHEET)],
  ])('is read from %s', (_, bytes) => {
    expect(decode(bytes)).toEqual({ text: SHEET })
  })

  it.each([
    ['damaged UTF-8', Buffer.concat([Buffer.from('1,'), Buffer.from([0xe0, 0xb8]), Buffer.from('x')])],
    ['damaged UTF-8 among good', Buffer.concat([Buffer.from(SHEET), Buffer.from([0xe0, 0xb8])])],
    ['a Western encoding', Buffer.from('1,Caf\xe9 Bar', 'latin1')],
  ])('of %s is not taken for Thai', (_, bytes) => {
    const decoded = decode(bytes)
    expect('text' in decoded && decoded.text).toMatch(/\ufffd/)
    expect('text' in decoded && decoded.text).not.toMatch(/เธ/)
  })

  it.each([
    ['an .xlsx workbook', Buffer.from('PK\x03\x04....xl/workbook.xml')],
    ['an .ods workbook', Buffer.from('PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet')],
    ['a .zip archive', Buffer.from('PK\x03\x04....venues.csv')],
    ['an .xls workbook', Buffer.from([0xd0, 0xcf, 0x11, 0xe0, 0xa1])],
    ['packed with gzip', gzipSync(SHEET)],
    ['a PDF', Buffer.from('%PDF-1.7')],
    ['a picture', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d])],
    ['an HTML page', Buffer.from('\ufeff  <!DOCTYPE html><html><title>Sign in</title>')],
    ['a JSON document', Buffer.from('{"error": "not found"}')],
    ['an XML document', Buffer.from('<?xml version="1.0"?><a/>')],
    ['UTF-32 text', Buffer.from([0xff, 0xfe, 0, 0, 0x76, 0, 0, 0])],
    ['no text', Buffer.from([1, 2, 3, 0, 9, 9, 9, 9, 9, 9, 9, 9])],
  ])('is none of %s, which is named with what to do', (name, bytes) => {
    const decoded = decode(bytes)
    expect(decoded).toMatchObject({ error: { code: 'not_csv' } })
    expect('error' in decoded && decoded.error.detail).toContain(name)
    expect('error' in decoded && decoded.error.detail).toMatch(/save the sheet as "CSV UTF-8"|unpack it/)
  })

  it.each([Buffer.from(' \n'), wide('\ufeff')])('is empty', bytes => {
    expect(decode(bytes)).toEqual({ error: { code: 'empty', detail: '' } })
  })
})
