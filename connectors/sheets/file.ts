/**
 * Reads the sheet where it is a file: port of the sheets actor's effect `read`.
 */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Port } from '../../engine/actor.ts'
import { messageOf } from '../../engine/errors.ts'
import type { ReadSheet, RowRefusalInput, SheetPartInput, SheetVenueInput } from '../../schemas/types.ts'
import { MAX_RECORD_BYTES } from '../../topics/log.ts'
import { partitionOf } from '../../topics/murmur2.ts'
import { type ParsedSheet, parseSheet, type SheetSettings } from './csv.ts'
import { decode } from './decode.ts'
import { type SheetProblem, problem, textOf } from './problem.ts'
import { knownOf, sampleOf } from './sample.ts'

export interface SheetFileSettings extends Omit<SheetSettings, 'country'> {
  readonly file: string
  /** Calling code of phones without one, as of now. */
  readonly country?: () => string
  /** Whose sheet it is: what another source made is not merged over. By default the file's path says it. */
  readonly source?: string
  /** What the operator has accepted, as an alert named it. */
  readonly accept?: string | null
  readonly clock?: () => number
}

const MAX_FILE_BYTES = 64 * 1024 * 1024
/** So many of what could not be read are in one part. */
const REFUSALS_IN_PART = 500
/** The run itself shows the first of them, as far as its record, and the state that waits for it, has room. */
const SHOWN = 40
const SHOWN_BYTES = 6 * 1024
/** Leaves room for the rest of the record beside its rows. */
const MAX_ROWS_BYTES = MAX_RECORD_BYTES - 64 * 1024
/** Part of the fingerprint: another way of reading makes another content of the same bytes. */
const READER = 'csv-3'

export function sheetFilePort(settings: SheetFileSettings): Port<'ReadSheet', 'SheetPart'> {
  const { file, source = sourceOf(file), accept = null, clock = Date.now } = settings
  return async (input, run) => {
    run.beforeSend()
    const started = performance.now()
    const content = await contentOf(file, run.signal)
    const readAt = clock()
    const country = settings.country?.()
    const reader = `${READER}/${country ?? ''}/${settings.dateOrder ?? ''}`
    const part = (rest: Partial<SheetPartInput>): SheetPartInput => ({
      sheet: input.sheet,
      readAt,
      source,
      accept: accept ?? '',
      ...rest,
    })
    const summary = (found: Partial<NonNullable<SheetPartInput['summary']>>) => ({
      summary: { rows: 0, refused: 0, ...found, durationMs: performance.now() - started },
    })
    if ('error' in content) return part(summary(failed(content.error)))

    const fingerprint = createHash('sha256').update(reader).update(content.bytes).digest('hex').slice(0, 32)
    if (fingerprint === input.fingerprint) return part(summary({ unchanged: true, fingerprint }))
    const decoded = decode(content.bytes)
    if ('error' in decoded) return part(summary({ ...failed(decoded.error), fingerprint }))
    const { dateOrder, year = new Date(readAt).getUTCFullYear() } = settings
    const given = { year, ...(country !== undefined && { country }), ...(dateOrder !== undefined && { dateOrder }) }
    const sheet = parseSheet(decoded.text, given)
    if (sheet.error !== null) return part(summary({ ...failed(sheet.error), fingerprint }))

    const buckets = bucketsOf(sheet, input)
    const large = buckets.findIndex(({ rows }) => Buffer.byteLength(JSON.stringify(rows)) > MAX_ROWS_BYTES)
    if (large >= 0) {
      const error = problem('too_large', `the ${buckets[large]?.rows.length} rows of bucket ${large}`)
      return part(summary(failed(error)))
    }
    const { rows, refused, refusals, kept } = sheet
    const same = { sample: sampleOf(rows), known: knownOf(input.sample, rows, kept) }
    const found = summary({ rows: rows.length, refused, cells: refusals.length - refused, fingerprint, ...same })
    const shown = firstOf(refusals)
    return [
      part({ ...found, refusals: shown, fingerprint }),
      ...chunks(refusals, REFUSALS_IN_PART).map(some => part({ refusals: some, fingerprint })),
      // The last part has the first of them once more, so that they need not be kept while the buckets are processed.
      ...buckets.map((bucket, n) => part({ ...bucket, fingerprint, refusals: n === buckets.length - 1 ? shown : [] })),
    ]
  }
}

/** What the summary says of a sheet that cannot be used. */
function failed(error: SheetProblem): { error: string; code: string } {
  return { error: textOf(error), code: error.code }
}

/** The same for the same place, whatever folder the process was started in. */
function sourceOf(file: string): string {
  return `${basename(file)}@${createHash('sha256').update(resolve(file)).digest('hex').slice(0, 8)}`
}

function firstOf(refusals: readonly RowRefusalInput[]): RowRefusalInput[] {
  let bytes = 0
  return refusals.slice(0, SHOWN).filter(refusal => {
    bytes += Buffer.byteLength(JSON.stringify(refusal))
    return bytes <= SHOWN_BYTES
  })
}

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size))
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

/** The file's bytes, read while no one was writing to it, or why they could not be read. */
async function contentOf(file: string, signal: AbortSignal): Promise<{ bytes: Buffer } | { error: SheetProblem }> {
  for (let attempt = 1; ; attempt++) {
    try {
      const handle = await open(file, 'r')
      try {
        const before = await handle.stat({ bigint: true })
        if (!before.isFile()) return { error: problem('unreadable', `${file} is not a file`) }
        if (before.size > MAX_FILE_BYTES)
          return { error: problem('unreadable', `${before.size} bytes are more than ${MAX_FILE_BYTES}`) }
        const bytes = await handle.readFile()
        const after = await handle.stat({ bigint: true })
        if (before.mtimeNs !== after.mtimeNs || BigInt(bytes.length) !== after.size) {
          if (attempt === 10) return { error: problem('unreadable', 'it is being written all the time') }
          await sleep(200, undefined, { signal })
          continue
        }
        return bytes.length === 0 ? { error: problem('empty') } : { bytes }
      } finally {
        await handle.close()
      }
    } catch (error) {
      if (signal.aborted) throw error
      const { code } = error as NodeJS.ErrnoException
      return { error: code === 'ENOENT' ? problem('missing') : problem('unreadable', code ?? messageOf(error)) }
    }
  }
}
