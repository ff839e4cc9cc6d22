/**
 * The sheets connector: one actor per sheet, which has it read and checks the result, and one per bucket of its rows, which
 * passes on changed rows.
 *
 *   SyncNow, interval ─▶ sheet ─read─▶ SheetPart … ─▶ taken? ─ yes ─▶ SheetBucket ─▶ sheet:bucket ─▶ SheetRow of changed rows
 *                                                      │                                  └─▶ SheetBucketTaken ─▶ sheet ─▶ SyncRun
 *                                                      └─ no ──▶ nothing changes; SyncRun and Alert say why
 *
 * A reading cut off in the middle does no harm: a bucket's hashes belong to the bucket, and the sheet's fingerprint is kept
 * only once its last bucket has been passed on, so that the next reading does the rest.
 */
import { createHash } from 'node:crypto'
import { sheetRefused } from '../../domain/alerts.ts'
import { actor, type Context } from '../../engine/actor.ts'
import { PART } from '../../engine/headers.ts'
import type {
  SheetBucket,
  SheetBucketTaken,
  SheetPart,
  SheetRowInput,
  SheetState,
  SheetVenue,
  SyncOutcome,
} from '../../schemas/types.ts'
import { raiseAlert, resolveAlert } from '../../topics/alerts.ts'
import { alerts, sheetsInbox, syncLog, venueInbox } from '../../topics/catalog.ts'
import { isAnother, isSwapped } from './sample.ts'
import { codeIn, isUnread, problem, textOf } from './problem.ts'

export interface SheetsSettings {
  readonly tenant: string
  /** How often the sheet is read without being asked, ms. */
  readonly intervalMs: number
  /** How soon to retry after a failed reading, ms. */
  readonly retryMs: number
  /** How many buckets the rows are spread over: final, for a bucket remembers its rows. */
  readonly buckets: number
  /** A reading with less than this share of the rows last accepted is refused. */
  readonly leastShare: number
  /** Divides durable timers. */
  readonly timeScale: number
}

export const SHEETS_DEFAULTS: SheetsSettings = {
  tenant: 'main',
  intervalMs: 30 * 60_000,
  retryMs: 5 * 60_000,
  buckets: 64,
  leastShare: 0.5,
  timeScale: 1,
}

const effects = { read: { input: 'ReadSheet', result: 'SheetPart', retry: 'idempotent', timeoutMs: 30_000 } } as const
const emits = [sheetsInbox, venueInbox, syncLog, alerts] as const
type Ctx = Context<(typeof emits)[number], typeof effects>
type Reading = NonNullable<SheetState['reading']>
type Summary = NonNullable<SheetPart['summary']>

const NEW: SheetState = {
  fingerprint: null,
  rows: 0,
  alert: null,
  again: false,
  accept: false,
  reading: null,
  venues: [],
  source: null,
  sample: [],
}

export const sheetsActor = (settings: SheetsSettings = SHEETS_DEFAULTS) => {
  /** Has the sheet read, unless it is being read already: then once more afterwards, for it may have changed since. */
  function sync(state: SheetState, context: Ctx): SheetState {
    const { reading } = state
    if (reading !== null && context.now < reading.since + 2 * effects.read.timeoutMs) return { ...state, again: true }
    const { buckets, intervalMs, timeScale } = settings
    const { fingerprint, sample } = state
    const attempt = context.perform('read', { sheet: context.key, buckets, fingerprint, sample })
    context.setTimer('interval', context.now + intervalMs / timeScale)
    const started: Reading = {
      attempt,
      since: context.now,
      fingerprint: null,
      rows: 0,
      refused: 0,
      durationMs: 0,
      next: 0,
      sent: 0,
      answered: 0,
      changed: 0,
      refusals: [],
      cells: 0,
      sample: [],
      anew: false,
    }
    return { ...state, again: false, reading: started }
  }

  function summaryRead(state: SheetState, reading: Reading, summary: Summary, part: SheetPart, context: Ctx): SheetState {
    const { rows, refused, cells, durationMs, error, code, fingerprint, unchanged } = summary
    const found = { ...reading, fingerprint: null, rows, refused, cells, durationMs, next: 0 }
    if (error !== null) {
      // Summaries of earlier versions have the code in their text alone.
      const outcome = isUnread(code ?? codeIn(error)) ? 'FAILED' : 'REFUSED'
      return refuse(state, found, outcome, error, part, context)
    }
    if (unchanged) {
      // The same content in another place is the same sheet, moved.
      const moved = { ...state, source: part.source || state.source }
      return done(resolve(moved, context), { ...found, rows: state.rows }, 'UNCHANGED', part, context)
    }
    if (rows === 0) return refuse(state, found, 'REFUSED', `empty: no good row and ${refused} refused`, part, context)
    const doubt = state.accept ? null : doubtOf(state, part, summary)
    if (doubt !== null) return refuse(state, found, 'REFUSED', doubt, part, context)
    const anew = isAnother(state.source, part.source) || isSwapped(state.sample, summary.known)
    return { ...state, reading: { ...found, fingerprint, sample: summary.sample, anew } }
  }

  /** What the operator has to decide: whether this is still the sheet that made the venues. Null where there is no doubt. */
  function doubtOf(state: SheetState, { source, accept }: SheetPart, summary: Summary): string | null {
    const { rows, fingerprint, known } = summary
    if (isAnother(state.source, source)) {
      if (accept === source) return null
      return `another_source: the venues here were made by ${state.source}, this is ${source}; set SHEET_ACCEPT=${source} if it is to take their place`
    }
    const short = fingerprint.slice(0, 8)
    if (accept === short) return null
    const ask = `set SHEET_ACCEPT=${short} if that is right`
    if (rows < state.rows * settings.leastShare) return `shrunken: ${rows} good rows where ${state.rows} were; ${ask}`
    if (!isSwapped(state.sample, summary.known)) return null
    return `swapped: of ${state.sample.length} venues looked for ${known} are there by their ids and names; ${ask}`
  }

  /** Reports everything that could not be read, one page at a time, as it arrives. */
  function refusalsRead(reading: Reading, { refusals, fingerprint }: SheetPart, context: Ctx): void {
    if (refusals.length === 0 || fingerprint !== reading.fingerprint) return
    const source = `sheets:${context.key}`
    const page = Number(context.headers[PART] ?? 0)
    context.emit(syncLog, source, 'SyncRefusals', { run: reading.attempt, source, page, refusals, at: context.now })
  }

  function bucketRead(state: SheetState, reading: Reading, part: SheetPart, context: Ctx): SheetState {
    const { sheet, bucket, rows, kept, removals, readAt, fingerprint } = part
    if (reading.fingerprint === null) return state
    if (bucket === null) {
      refusalsRead(reading, part, context)
      return state
    }
    const fits = bucket === reading.next && fingerprint === reading.fingerprint
    const { attempt } = reading
    if (fits) {
      // Nothing of what another source knew of a venue is this one's.
      const said = reading.anew
        ? { rows: rows.map(row => ({ ...row, unread: [] })), kept: [], removals: true }
        : { rows, kept, removals }
      context.emit(sheetsInbox, `${sheet}:${bucket}`, 'SheetBucket', { sheet, bucket, ...said, readAt, attempt })
    }
    const further = fits ? { ...reading, next: bucket + 1, sent: reading.sent + 1 } : reading
    if (bucket + 1 < settings.buckets) return { ...state, reading: further }
    if (further.next < settings.buckets) {
      // Two runs of the effect came mixed, each with its own content: what was passed on is right, the rest is read again.
      return done({ ...state, again: true }, further, 'FAILED', part, context, 'torn: two readings came mixed')
    }
    const taken = {
      ...resolve(state, context),
      fingerprint,
      rows: reading.rows,
      sample: reading.sample,
      source: part.source || state.source,
    }
    return finish(taken, { ...further, refusals: part.refusals }, context)
  }

  function bucketAnswered(state: SheetState, reading: Reading, { changed }: SheetBucketTaken, context: Ctx): SheetState {
    return finish(state, { ...reading, answered: reading.answered + 1, changed: reading.changed + changed }, context)
  }

  /** The run is over when every bucket has said what changed. */
  function finish(state: SheetState, reading: Reading, context: Ctx): SheetState {
    if (reading.next < settings.buckets || reading.answered < reading.sent) return { ...state, reading }
    return done(state, reading, 'OK', null, context)
  }

  /** Discards the reading. Support is alerted once per reason. */
  function refuse(
    state: SheetState,
    reading: Reading,
    outcome: 'FAILED' | 'REFUSED',
    reason: string,
    part: SheetPart | null,
    context: Ctx,
  ): SheetState {
    const text = `Sheet "${context.key}" was not taken (${reason}). What was taken before stays.`
    if (state.alert !== text) raiseAlert(context, { ...sheetRefused(context.key), priority: 'HIGH', text })
    if (outcome === 'FAILED') context.setTimer('interval', context.now + settings.retryMs / settings.timeScale)
    return done({ ...state, alert: text }, reading, outcome, part, context, reason)
  }

  function resolve(state: SheetState, context: Ctx): SheetState {
    const text = `Sheet "${context.key}" is read again.`
    if (state.alert !== null) resolveAlert(context, { ...sheetRefused(context.key), priority: 'HIGH', text })
    return { ...state, alert: null }
  }

  function done(
    state: SheetState,
    reading: Reading,
    outcome: SyncOutcome,
    part: SheetPart | null,
    context: Ctx,
    reason = '',
  ): SheetState {
    const source = `sheets:${context.key}`
    context.emit(syncLog, source, 'SyncRun', {
      id: reading.attempt,
      source,
      startedAt: reading.since,
      endedAt: context.now,
      outcome,
      venues: reading.rows,
      changed: reading.changed,
      errors: reading.refused + reading.cells + (outcome === 'FAILED' ? 1 : 0),
      durationMs: reading.durationMs,
      reason,
      refusals: part?.refusals ?? reading.refusals,
    })
    const idle = { ...state, accept: false, reading: null }
    return state.again ? sync(idle, context) : idle
  }

  /** Passes on the rows of a bucket that are not as they were. */
  function bucketTaken(state: SheetState, taken: SheetBucket, context: Ctx): SheetState {
    const { sheet, bucket, rows, kept, removals, readAt, attempt } = taken
    let changed = 0
    const pass = (venue: string, row: Omit<SheetRowInput, 'venue' | 'sheet' | 'readAt'>) => {
      changed++
      context.emit(venueInbox, venue, 'SheetRow', { ...row, venue, sheet, readAt })
    }
    const before = new Map(state.venues.map(({ venue, hash }) => [venue, hash]))
    const after = new Map(rows.map(row => [row.venue, hashOf(row)]))
    const idOf = (venue: string) => `${settings.tenant}:${venue}`
    for (const row of rows) {
      if (after.get(row.venue) === before.get(row.venue)) continue
      pass(idOf(row.venue), row)
    }
    for (const [id, hash] of before) {
      if (after.has(id)) continue
      if (!removals || kept.includes(id)) after.set(id, hash)
      else pass(idOf(id), { removed: true, name: '' })
    }
    context.emit(sheetsInbox, sheet, 'SheetBucketTaken', { attempt, bucket, changed })
    return { ...state, venues: [...after].map(([venue, hash]) => ({ venue, hash })) }
  }

  return actor({
    name: 'sheets',
    inbox: sheetsInbox,
    state: 'SheetState',
    on: {
      SyncNow: (state, { accept }, context) => {
        const before = state ?? NEW
        return sync({ ...before, accept: before.accept || accept }, context)
      },
      SheetPart: (state, part, context) => {
        if (state?.reading?.attempt !== context.attempt || state?.reading == null) return state
        return part.summary === null
          ? bucketRead(state, state.reading, part, context)
          : summaryRead(state, state.reading, part.summary, part, context)
      },
      SheetBucket: (state, bucket, context) => bucketTaken(state ?? NEW, bucket, context),
      SheetBucketTaken: (state, taken, context) => {
        if (state?.reading?.attempt !== taken.attempt) return state
        return bucketAnswered(state, state.reading, taken, context)
      },
    },
    timers: { interval: (state, _timer, context) => sync(state, context) },
    effects,
    ended: (state, { attempt, reason }, context) => {
      if (state.reading?.attempt !== attempt) return state
      return refuse(state, state.reading, 'FAILED', textOf(problem('unreadable', reason)), null, context)
    },
    emits,
  })
}

/** Short hash of a row's content, independent of when it was read. */
function hashOf(row: SheetVenue): string {
  return createHash('sha256').update(JSON.stringify(row)).digest('base64url').slice(0, 12)
}
