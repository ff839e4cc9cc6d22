/**
 * Reads the sheet where it is a file: port of the sheets actor's effect `read`.
 */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Port } from '../../engine/actor.ts'
import { messageOf } from '../../engine/errors.ts'
import type { ReadSheet, SheetPartInput, SheetVenueInput } from '../../schemas/types.ts'
import { MAX_RECORD_BYTES } from '../../topics/log.ts'
import { partitionOf } from '../../topics/murmur2.ts'
import { type ParsedSheet, parseSheet } from './csv.ts'

export interface SheetFileSettings {
  readonly file: string
  /** Country code of phone numbers written nationally. */
  readonly country?: string
  readonly clock?: () => number
}

const MAX_FILE_BYTES = 64 * 1024 * 1024
const MAX_REFUSALS = 200
/** Leaves room for the rest of the record beside its rows. */
const MAX_ROWS_BYTES = MAX_RECORD_BYTES - 64 * 1024
/** Part of the fingerprint: another way of reading makes another content of the same bytes. */
const READER = 'csv-1'

export function sheetFilePort({ file, country = '66', clock = Date.now }: SheetFileSettings): Port<'ReadSheet', 'SheetPart'> {
  return async (input, run) => {
    run.leave()
    const started = performance.now()
    const content = await contentOf(file, run.signal)
    const readAt = clock()
    const part = (rest: Partial<SheetPartInput>): SheetPartInput => ({ sheet: input.sheet, readAt, ...rest })
    const summary = (found: { rows?: number; refused?: number; unchanged?: boolean; fingerprint?: string; error?: string }) => ({
      summary: { rows: 0, refused: 0, ...found, durationMs: performance.now() - started },
    })
    if ('error' in content) return part(summary({ error: content.error }))

    const fingerprint = createHash('sha256').update(READER).update(content.bytes).digest('hex').slice(0, 32)
    if (fingerprint === input.fingerprint) return part(summary({ unchanged: true, fingerprint }))
    const sheet = parseSheet(content.bytes.toString('utf8'), country)
    if (sheet.error !== null) return part(summary({ error: sheet.error, fingerprint }))

    const refusals = sheet.refusals.slice(0, MAX_REFUSALS)
    const buckets = bucketsOf(sheet, input)
    const large = buckets.findIndex(({ rows }) => Buffer.byteLength(JSON.stringify(rows)) > MAX_ROWS_BYTES)
    if (large >= 0) return part(summary({ error: `too_large: the ${buckets[large]?.rows.length} rows of bucket ${large}` }))
    const found = summary({ rows: sheet.rows.length, refused: sheet.refusals.length, fingerprint })
    return [
      part({ ...found, refusals, fingerprint }),
      // The last part has the refusals once more, so that nobody has to remember them while the buckets are taken.
      ...buckets.map((bucket, n) => part({ ...bucket, fingerprint, refusals: n === buckets.length - 1 ? refusals : [] })),
    ]
  }
}

/** Every bucket with all of its rows; empty ones too, for a row that has gone shows by what its bucket lacks. */
function bucketsOf({ rows, kept, removals }: ParsedSheet, { buckets }: ReadSheet) {
  const made = Array.from({ length: buckets }, (_, bucket) => ({
    bucket,
    removals,
    rows: [] as SheetVenueInput[],
    kept: [] as string[],
  }))
  for (const row of rows) made[partitionOf(row.venue, buckets)]?.rows.push(row)
  for (const venue of kept) made[partitionOf(venue, buckets)]?.kept.push(venue)
  return made
}

/** The file's bytes, read at a moment when nobody was writing it, or why there are none. */
async function contentOf(file: string, signal: AbortSignal): Promise<{ bytes: Buffer } | { error: string }> {
  for (let attempt = 1; ; attempt++) {
    try {
      const handle = await open(file, 'r')
      try {
        const before = await handle.stat({ bigint: true })
        if (!before.isFile()) return { error: `unreadable: ${file} is not a file` }
        if (before.size > MAX_FILE_BYTES) return { error: `unreadable: ${before.size} bytes are more than ${MAX_FILE_BYTES}` }
        const bytes = await handle.readFile()
        const after = await handle.stat({ bigint: true })
        if (before.mtimeNs !== after.mtimeNs || BigInt(bytes.length) !== after.size) {
          if (attempt === 10) return { error: 'unreadable: it is being written all the time' }
          await sleep(200, undefined, { signal })
          continue
        }
        return bytes.length === 0 ? { error: 'empty' } : { bytes }
      } finally {
        await handle.close()
      }
    } catch (error) {
      if (signal.aborted) throw error
      const { code } = error as NodeJS.ErrnoException
      return { error: code === 'ENOENT' ? 'missing' : `unreadable: ${code ?? messageOf(error)}` }
    }
  }
}
