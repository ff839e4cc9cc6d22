/**
 * The text of the sheet's file: UTF-8, UTF-16 and Windows-874 (Thai) are told by their bytes. What is no text at all is named,
 * with what to do about it.
 */
import { type SheetProblem, problem } from './problem.ts'

/** The text, or why there is none. */
export type Decoded = { readonly text: string } | { readonly error: SheetProblem }

export function decode(bytes: Buffer): Decoded {
  const kind = KINDS.find(({ is }) => is(bytes))
  if (kind !== undefined) return { error: problem('not_csv', `the file is ${kind.name}; ${kind.remedy ?? SAVE}`) }
  const wide = wideEncoding(bytes)
  if (wide === 'utf-32') return { error: problem('not_csv', `the file is UTF-32 text; ${SAVE}`) }
  if (wide !== null) return readable(new TextDecoder(wide).decode(bytes))
  if (bytes.includes(0)) return { error: problem('not_csv', `the file is no text; ${SAVE}`) }
  return readable(new TextDecoder(isThai(bytes) ? 'windows-874' : 'utf-8').decode(bytes))
}

const SAVE = 'save the sheet as "CSV UTF-8"'

interface Kind {
  readonly name: string
  readonly remedy?: string
  is(bytes: Buffer): boolean
}

const begins = (magic: string | readonly number[]) => {
  const start = typeof magic === 'string' ? Buffer.from(magic, 'latin1') : Buffer.from(magic)
  return (bytes: Buffer) => bytes.subarray(0, start.length).equals(start)
}
const ZIP = begins('PK\x03\x04')
const zipWith = (entry: string) => (bytes: Buffer) => ZIP(bytes) && bytes.includes(entry)

/** What people save or download instead. The first that fits counts. */
const KINDS: readonly Kind[] = [
  { name: 'an .xlsx workbook', is: zipWith('xl/') },
  { name: 'an .ods workbook', is: zipWith('opendocument.spreadsheet') },
  { name: 'a .numbers workbook', is: zipWith('Index/') },
  { name: 'a .zip archive', remedy: 'unpack it', is: ZIP },
  { name: 'an .xls workbook', is: begins([0xd0, 0xcf, 0x11, 0xe0]) },
  { name: 'packed with gzip', remedy: 'unpack it', is: begins([0x1f, 0x8b]) },
  { name: 'a PDF', is: begins('%PDF') },
  { name: 'a picture', is: bytes => [begins('\x89PNG'), begins('\xff\xd8\xff'), begins('GIF8')].some(is => is(bytes)) },
  {
    name: 'an HTML page',
    remedy: `perhaps a log-in page in place of the sheet; download it while logged in, and ${SAVE}`,
    is: bytes => /^<(?:!doctype html|html|head|body|table|meta|script)\b/i.test(opening(bytes)),
  },
  { name: 'an XML document', is: bytes => opening(bytes).startsWith('<?xml') },
  { name: 'an RTF document', is: begins('{\\rtf') },
  { name: 'a JSON document', is: bytes => /^(?:\{\s*"|\[\s*[{["])/.test(opening(bytes)) },
]

/** The first characters, whatever the encoding. */
function opening(bytes: Buffer): string {
  const text = bytes.subarray(0, 256).toString('latin1')
  return text
    .replace(/^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)/, '')
    .replaceAll('\0', '')
    .trimStart()
}

/** By the byte order mark; without one by the zeros that ASCII leaves in every other byte. */
function wideEncoding(bytes: Buffer): 'utf-16le' | 'utf-16be' | 'utf-32' | null {
  const mark = bytes.subarray(0, 4).toString('hex')
  if (mark === 'fffe0000' || mark === '0000feff') return 'utf-32'
  if (mark.startsWith('fffe')) return 'utf-16le'
  if (mark.startsWith('feff')) return 'utf-16be'
  const head = bytes.subarray(0, 512)
  const zeros = (from: number) => head.filter((byte, at) => at % 2 === from && byte === 0).length
  const [even, odd] = [zeros(0), zeros(1)]
  const enough = head.length / 5
  if (odd > enough && even === 0) return 'utf-16le'
  return even > enough && odd === 0 ? 'utf-16be' : null
}

function readable(text: string): Decoded {
  return text.trim() === '' ? { error: problem('empty') } : { text }
}

/**
 * Whether bytes that are no UTF-8 are Windows-874. Damaged UTF-8 stays UTF-8: its Thai letters all begin with E0 B8 or E0 B9, and
 * no vowel or tone mark of Thai stands behind a Latin letter, as the accents of Western encodings would.
 */
function isThai(bytes: Buffer): boolean {
  if (isUtf8(bytes)) return false
  let runs = 0
  let alike = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (byte < 0x80) continue
    const before = at === 0 ? 0 : (bytes[at - 1] as number)
    if (!isThaiByte(byte) || (before < 0x80 && isMark(byte))) return false
    if (before >= 0x80) continue
    runs++
    const next = bytes[at + 1]
    if (byte === 0xe0 && (next === 0xb8 || next === 0xb9)) alike++
  }
  return alike < runs / 2
}

function isUtf8(bytes: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}

/** Letters, vowels, tone marks and digits of TIS-620, and the few signs that Windows adds. */
function isThaiByte(byte: number): boolean {
  const added = byte === 0x80 || byte === 0x85 || (byte >= 0x91 && byte <= 0x97) || byte === 0xa0
  return added || (byte >= 0xa1 && byte <= 0xda) || (byte >= 0xdf && byte <= 0xfb)
}

/** Written above or below the letter before it. */
function isMark(byte: number): boolean {
  return byte === 0xd1 || (byte >= 0xd4 && byte <= 0xda) || (byte >= 0xe7 && byte <= 0xee)
}
