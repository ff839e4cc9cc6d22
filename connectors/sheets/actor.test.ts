import { describe, expect, it } from 'vitest'
import { type KitStep, testkit } from '../../engine/testing/testkit.ts'
import type { SheetVenueInput } from '../../schemas/types.ts'
import { SHEETS_DEFAULTS, sheetsActor } from './actor.ts'

const BUCKETS = 2
const settings = { ...SHEETS_DEFAULTS, buckets: BUCKETS }
const NOW = 1_750_000_000_000
const MINUTE = 60_000

const row = (venue: string, name = `Venue ${venue}`): SheetVenueInput => ({ venue, name, location: '' })

/** What a reading sends: bucket 0 has the odd ids, bucket 1 the even ones. */
function parts(fingerprint: string, rows: SheetVenueInput[], refusals: { line: number; reason: string }[] = []) {
  const common = { sheet: 'venues', readAt: NOW, fingerprint }
  const summary = { rows: rows.length, refused: refusals.length, fingerprint, durationMs: 12.5 }
  return [
    { ...common, summary, refusals },
    { ...common, bucket: 0, rows: rows.filter(r => +r.venue % 2 === 1) },
    { ...common, bucket: 1, rows: rows.filter(r => +r.venue % 2 === 0), refusals },
  ]
}
const error = (what: string, code: string | null = null) => ({
  sheet: 'venues',
  readAt: NOW,
  summary: { rows: 0, refused: 0, error: what, code, durationMs: 1 },
})
const many = (count: number) => Array.from({ length: count }, (_, n) => row(String(n + 1)))

const sheet = () => {
  const kit = testkit(sheetsActor(settings), { key: 'venues', now: NOW })
  const ask = (record: { accept?: boolean } = {}) => kit.handle('SyncNow', { reason: 'asked', ...record })
  const read = (result: object | object[], record: { accept?: boolean } = {}) => {
    ask(record)
    return complete(result)
  }
  const complete = (result: object | object[]) => {
    const step = kit.complete(kit.started[0]?.attempt ?? '', result)
    const answers = of(step, 'SheetBucket').map(bucket => kit.handle('SheetBucketTaken', { ...bucket, changed: 2 }))
    return { emits: [step, ...answers].flatMap(one => one.emits), effects: [step, ...answers].flatMap(one => one.effects) }
  }
  return { kit, ask, read, complete }
}
const of = (step: Pick<KitStep, 'emits'>, type: string) => step.emits.filter(emit => emit.type === type).map(emit => emit.record)

describe('a sheet', () => {
  it('passes a good reading on by bucket and logs the run with its refused rows', () => {
    const { kit, read } = sheet()
    const step = read(parts('f1', many(3), [{ line: 9, reason: 'venue_name is missing' }]))
    expect(step.emits.filter(e => e.type === 'SheetBucket').map(e => e.key)).toEqual(['venues:0', 'venues:1'])
    expect(of(step, 'SyncRun')).toMatchObject([
      {
        source: 'sheets:venues',
        outcome: 'OK',
        venues: 3,
        changed: 4,
        errors: 1,
        durationMs: 12.5,
        refusals: [{ line: 9, reason: 'venue_name is missing' }],
      },
    ])
    expect(of(step, 'Alert')).toEqual([])
    expect(kit.state).toMatchObject({ fingerprint: 'f1', rows: 3, reading: null })
  })

  it('is read every 30 minutes, with what it was last', () => {
    const { kit, read } = sheet()
    read(parts('f1', many(3)))
    expect(kit.timers).toEqual([{ name: 'interval', at: expect.closeTo(NOW + 30 * MINUTE, -2) }])
    expect(kit.fire().effects).toMatchObject([
      { effect: 'read', input: { sheet: 'venues', buckets: BUCKETS, fingerprint: 'f1' } },
    ])
    const step = kit.complete(kit.started[0]?.attempt ?? '', [
      { sheet: 'venues', readAt: NOW, summary: { rows: 0, refused: 0, unchanged: true, durationMs: 1 } },
    ])
    expect(of(step, 'SyncRun')).toMatchObject([{ outcome: 'UNCHANGED', venues: 3 }])
    expect(kit.timers).toHaveLength(1)
  })

  it('asked for while it is being read is read once more afterwards', () => {
    const { ask, complete } = sheet()
    ask()
    expect([ask(), ask()].flatMap(step => step.effects)).toEqual([])
    expect(complete(parts('f1', many(3))).effects).toHaveLength(1)
    expect(complete(parts('f2', many(3))).effects).toEqual([])
  })

  it.each([
    ['missing', error('missing', 'missing'), 'FAILED'],
    ['unreadable, whatever it is called for people', error('no answer', 'unreadable'), 'FAILED'],
    ['missing, as written before there were codes', error('missing'), 'FAILED'],
    ['unreadable', error('unreadable: EACCES'), 'FAILED'],
    ['without its header', error('no_header: line 1 has no column venue_id'), 'REFUSED'],
    ['empty', error('empty', 'empty'), 'REFUSED'],
    ['empty, as written before there were codes', error('empty'), 'REFUSED'],
    ['with no good row', parts('f2', [], [{ line: 2, reason: 'venue_name is missing' }]), 'REFUSED'],
    ['with fewer than half of its rows', parts('f2', many(4)), 'REFUSED'],
  ])('%s changes nothing and tells a person once', (_, result, outcome) => {
    const { kit, read } = sheet()
    read(parts('f1', many(9)))
    const step = read(result)
    expect(of(step, 'SheetBucket')).toEqual([])
    expect(of(step, 'SyncRun')).toMatchObject([{ outcome, reason: expect.stringMatching(/./) }])
    expect(of(step, 'Alert')).toMatchObject([
      { id: 'sheet_refused:venues', kind: 'sheet_refused', department: 'OPERATIONS', priority: 'HIGH', resolved: false },
    ])
    expect(kit.state).toMatchObject({ fingerprint: 'f1', rows: 9, reading: null })
    expect(of(read(result), 'Alert')).toEqual([])
  })

  it('that is good again resolves the alert, once', () => {
    const { read } = sheet()
    read(parts('f1', many(9)))
    read(error('missing'))
    expect(of(read(parts('f2', many(9))), 'Alert')).toMatchObject([{ id: 'sheet_refused:venues', resolved: true }])
    expect(of(read(parts('f3', many(9))), 'Alert')).toEqual([])
  })

  it('that shrank is taken when a person has accepted it, that once', () => {
    const { kit, read } = sheet()
    read(parts('f1', many(9)))
    expect(of(read(parts('f2', many(4)), { accept: true }), 'SheetBucket')).toHaveLength(2)
    expect(kit.state).toMatchObject({ rows: 4, accept: false })
    expect(of(read(parts('f3', many(1))), 'SheetBucket')).toEqual([])
    read({ sheet: 'venues', readAt: NOW, summary: { rows: 0, refused: 0, unchanged: true, durationMs: 1 } }, { accept: true })
    expect(of(read(parts('f4', many(1))), 'SheetBucket')).toEqual([])
  })

  it('that shrank says what to accept, and is taken once the operator has accepted that', () => {
    const { kit, read } = sheet()
    read(parts('f1', many(9)))
    const [summary, ...rest] = parts('0123456789abcdef', many(4))
    expect(of(read([summary as object, ...rest]), 'Alert')).toMatchObject([
      { text: expect.stringMatching(/SHEET_ACCEPT=01234567 if/) },
    ])
    expect(of(read([{ ...summary, accept: '76543210' }, ...rest]), 'SheetBucket')).toEqual([])
    expect(of(read([{ ...summary, accept: '01234567' }, ...rest]), 'SheetBucket')).toHaveLength(2)
    expect(kit.state).toMatchObject({ rows: 4, alert: null })
  })

  it('of another source is never merged over, until the operator has accepted that source', () => {
    const { kit, read } = sheet()
    const from = (source: string, fingerprint: string, more = {}) =>
      parts(fingerprint, many(9)).map(part => ({ ...part, source, ...more }))
    read(from('demo', 'f1'))
    const step = read(from('venues.csv@1', 'f2'))
    expect(of(step, 'SheetBucket')).toEqual([])
    expect(of(step, 'SyncRun')).toMatchObject([
      { outcome: 'REFUSED', reason: expect.stringMatching(/^another_source: .* made by demo/) },
    ])
    expect(of(step, 'Alert')).toMatchObject([
      { kind: 'sheet_refused', text: expect.stringMatching(/SHEET_ACCEPT=venues.csv@1 /) },
    ])
    expect(kit.state).toMatchObject({ source: 'demo', fingerprint: 'f1' })
    expect(of(read(from('venues.csv@1', 'f2', { accept: 'venues.csv@2' })), 'SheetBucket')).toEqual([])
    expect(of(read(from('venues.csv@1', 'f2', { accept: 'venues.csv@1' })), 'SheetBucket')).toHaveLength(2)
    expect(kit.state).toMatchObject({ source: 'venues.csv@1', fingerprint: 'f2' })
    expect(of(read(from('venues.csv@1', 'f3')), 'SheetBucket')).toHaveLength(2)
    expect(of(read(from('demo', 'f1')), 'SheetBucket')).toEqual([])
  })

  it('of other venues under the same name of a file is not merged over them, until that is accepted', () => {
    const { kit, read } = sheet()
    const known = (fingerprint: string, known: number, more = {}) =>
      parts(
        fingerprint,
        many(9).map(one => ({ ...one, unread: ['notes'] })),
      ).map((part, n) => ({
        ...part,
        ...(n === 0 && {
          summary: { rows: 9, refused: 0, fingerprint, durationMs: 1, sample: [`of ${fingerprint}`, 'x'], known },
        }),
        ...more,
      }))
    expect(of(read(known('f1', 0)), 'SheetBucket')).toHaveLength(2)
    expect(kit.state?.sample).toEqual(['of f1', 'x'])
    expect(kit.handle('SyncNow', { reason: 'asked' }).effects).toMatchObject([{ input: { sample: ['of f1', 'x'] } }])
    kit.complete(kit.started[0]?.attempt ?? '', known('f2', 0))
    expect(kit.state).toMatchObject({
      fingerprint: 'f1',
      alert: expect.stringMatching(/swapped: of 2 .* 0 are there.*SHEET_ACCEPT=f2 if/),
    })
    const taken = of(read(known('f2', 0, { accept: 'f2' })), 'SheetBucket')
    expect(taken.map(bucket => bucket.rows.map((one: { unread: string[] }) => one.unread.length))).toEqual([
      [0, 0, 0, 0, 0],
      [0, 0, 0, 0],
    ])
    expect(of(read(known('f3', 1)), 'SheetBucket')).toHaveLength(2)
  })

  it('that takes the place of another source leaves nothing of it', () => {
    const { read } = sheet()
    read(parts('f1', many(9)).map(part => ({ ...part, source: 'demo' })))
    const rows = many(2).map(one => ({ ...one, unread: ['contactPhone'] }))
    const buckets = (accept: string) =>
      of(
        read(parts('f2', rows).map(part => ({ ...part, source: 'venues.csv@1', accept, kept: ['7'], removals: false }))),
        'SheetBucket',
      )
    expect(buckets('venues.csv@1')).toMatchObject([
      { rows: [{ venue: '1', unread: [] }], kept: [], removals: true },
      { rows: [{ venue: '2', unread: [] }], kept: [], removals: true },
    ])
    expect(buckets('')).toMatchObject([
      { rows: [{ unread: ['contactPhone'] }], kept: ['7'], removals: false },
      { rows: [{ unread: ['contactPhone'] }], kept: ['7'], removals: false },
    ])
  })

  it('of the same content in another place is the same sheet', () => {
    const { kit, read } = sheet()
    read(parts('f1', many(9)).map(part => ({ ...part, source: 'a.csv@1' })))
    const summary = { rows: 0, refused: 0, unchanged: true, fingerprint: 'f1', durationMs: 1 }
    expect(of(read({ sheet: 'venues', readAt: NOW, source: 'b.csv@2', summary }), 'Alert')).toEqual([])
    expect(kit.state?.source).toBe('b.csv@2')
  })

  it('tells everything that could not be read, in pages of its run', () => {
    const { read } = sheet()
    const refusal = (line: number) => ({ line, reason: 'x', column: 'zone_count', value: 'x', expected: 'y', refused: false })
    const [summary, ...buckets] = parts('f1', many(9)) as [{ summary: object }, ...object[]]
    const page = (...lines: number[]) => ({ sheet: 'venues', readAt: NOW, fingerprint: 'f1', refusals: lines.map(refusal) })
    const step = read([{ ...summary, summary: { ...summary.summary, cells: 3 } }, page(2, 3), page(4), ...buckets])
    const [run] = of(step, 'SyncRun')
    expect(run).toMatchObject({ outcome: 'OK', errors: 3 })
    expect(of(step, 'SyncRefusals')).toMatchObject([
      { run: run?.id, source: 'sheets:venues', page: 1, refusals: [refusal(2), refusal(3)] },
      { run: run?.id, page: 2, refusals: [refusal(4)] },
    ])
  })

  it('with exactly half of its rows is taken', () => {
    const { read } = sheet()
    read(parts('f1', many(8)))
    expect(of(read(parts('f2', many(4))), 'SheetBucket')).toHaveLength(2)
  })

  it('that could not be read is tried again sooner', () => {
    const { kit, read } = sheet()
    read(error('missing'))
    expect(kit.timers[0]?.at).toBeLessThan(kit.now + 6 * MINUTE)
  })

  it('whose reading ended without a result says so', () => {
    const { kit, ask } = sheet()
    ask()
    const step = kit.end(kit.started[0]?.attempt ?? '', 'UNKNOWN', 'no answer in 30 s')
    expect(of(step, 'SyncRun')).toMatchObject([{ outcome: 'FAILED', reason: 'unreadable: no answer in 30 s' }])
    expect(of(step, 'Alert')).toHaveLength(1)
    expect(kit.state?.reading).toBeNull()
  })

  it('whose reading was cut off and run again keeps the fingerprint of what it took whole', () => {
    const { kit, ask, complete } = sheet()
    ask()
    const attempt = kit.started[0]?.attempt ?? ''
    for (const [n, part] of parts('f1', many(4)).slice(0, 2).entries()) {
      kit.handle('SheetPart', part, { headers: { attempt, part: String(n), last: '0' } })
    }
    expect(kit.state?.fingerprint).toBeNull()
    expect(of(complete(parts('f2', many(6))), 'SyncRun')).toEqual([])
    // The bucket that was passed on twice answers twice.
    const step = kit.handle('SheetBucketTaken', { attempt, bucket: 0, changed: 2 })
    expect(of(step, 'SyncRun')).toMatchObject([{ outcome: 'OK', venues: 6, changed: 6 }])
    expect(kit.state?.fingerprint).toBe('f2')
  })

  it('whose reading came mixed of two contents takes no foreign bucket and is read again at once', () => {
    const { read, complete } = sheet()
    const step = read([...parts('f1', many(4)).slice(0, 2), parts('f2', [])[2] as object])
    expect(of(step, 'SheetBucket')).toHaveLength(1)
    expect(of(step, 'SyncRun')).toMatchObject([{ outcome: 'FAILED', reason: 'torn: two readings came mixed' }])
    expect(step.effects).toMatchObject([{ effect: 'read', input: { fingerprint: null } }])
    expect(of(complete(parts('f2', many(4))), 'SyncRun')).toMatchObject([{ outcome: 'OK' }])
  })
})

describe('a bucket', () => {
  const bucket = () => {
    const kit = testkit(sheetsActor(settings), { key: 'venues:0', now: NOW })
    /** What the bucket passes on, once it is seen that its answer counts that. */
    const take = (rows: SheetVenueInput[], more: { kept?: string[]; removals?: boolean; readAt?: number } = {}) => {
      const { emits } = kit.handle('SheetBucket', { sheet: 'venues', bucket: 0, rows, readAt: NOW, attempt: 'a', ...more })
      const passed = emits.filter(({ type }) => type === 'SheetRow')
      expect(emits.filter(({ type }) => type !== 'SheetRow')).toMatchObject([
        { key: 'venues', type: 'SheetBucketTaken', record: { attempt: 'a', bucket: 0, changed: passed.length } },
      ])
      return passed
    }
    return { kit, take }
  }

  it('passes on new and changed rows only, to the venue of the tenant', () => {
    const { take } = bucket()
    expect(take([row('1'), row('3')]).map(e => [e.topic, e.key, e.record.name])).toEqual([
      ['venue.inbox', 'main:1', 'Venue 1'],
      ['venue.inbox', 'main:3', 'Venue 3'],
    ])
    expect(take([row('3'), row('1', 'Blue Lagoon')], { readAt: NOW + 1 })).toMatchObject([
      { key: 'main:1', record: { venue: 'main:1', sheet: 'venues', name: 'Blue Lagoon', removed: false, readAt: NOW + 1 } },
    ])
    expect(take([row('1', 'Blue Lagoon'), row('3')], { readAt: NOW + 2 })).toEqual([])
  })

  it('says that a row has gone, once, and takes it back when it returns', () => {
    const { take } = bucket()
    take([row('1'), row('3')])
    expect(take([row('1')])).toMatchObject([{ key: 'main:3', record: { removed: true } }])
    expect(take([row('1')])).toEqual([])
    expect(take([row('1'), row('3')])).toMatchObject([{ key: 'main:3', record: { removed: false } }])
  })

  it('keeps a venue whose row was refused, and every one while a refused row cannot be told', () => {
    const { take } = bucket()
    take([row('1'), row('3')])
    expect(take([row('1')], { kept: ['3'] })).toEqual([])
    expect(take([row('1')], { removals: false })).toEqual([])
    expect(take([row('1'), row('3')])).toEqual([])
    expect(take([row('1')])).toMatchObject([{ record: { removed: true } }])
  })

  it('stays within the size of a state with 400 venues', () => {
    const { kit, take } = bucket()
    take(Array.from({ length: 400 }, (_, n) => row(String(100_000 + n))))
    expect(JSON.stringify(kit.state?.venues).length).toBeLessThan(400 * 60)
    expect(kit.state?.venues).toHaveLength(400)
  })
})
