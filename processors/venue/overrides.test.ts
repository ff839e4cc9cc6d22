import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { COMMAND } from '../../engine/headers.ts'
import type { SheetRowInput, VenueState } from '../../schemas/types.ts'
import { events, of, playing, polls, profile, venue } from './testing/fixture.ts'

type Scene = ReturnType<typeof venue>
let count = 0
function force(scene: Scene, field: string, value: unknown, more: { reason?: string; raw?: string } = {}) {
  const id = `o${++count}`
  const json = value === undefined ? null : (more.raw ?? JSON.stringify(value))
  const override = { id, field, value: json, by: 'main:nok', reason: more.reason ?? '', at: scene.kit.now }
  const step = scene.kit.handle('VenueOverride', override, { id, headers: { [COMMAND]: id } })
  return { step, outcome: profile(step)?.commands.find((c: { id: string }) => c.id === id) }
}
const takeBack = (scene: Scene, field: string) => force(scene, field, undefined)

describe('an override', () => {
  it('wins over the sheet, is shown with who and why, and survives later rows', () => {
    const scene = venue([], {}, { contactPhone: '0811112222' })
    const { step, outcome } = force(scene, 'contactPhone', '+66 81 999 8888', { reason: 'new manager' })
    expect(outcome).toMatchObject({ outcome: 'handled' })
    expect(profile(step)).toMatchObject({
      contactPhone: '66819998888',
      overrides: [{ field: 'contactPhone', by: 'main:nok', reason: 'new manager' }],
      provenance: expect.arrayContaining([{ field: 'contactPhone', source: 'override', at: scene.kit.now }]),
    })
    expect(events(step)).toMatchObject([{ kind: 'OVERRIDDEN', detail: 'contactPhone' }])
    scene.row({ contactPhone: '0813334444', name: 'Blue Lagoon Bar' })
    expect(scene.kit.state).toMatchObject({ contactPhone: '66819998888', name: 'Blue Lagoon Bar' })
  })

  it('taken back, what the sheet says by now is there again, with its source', () => {
    const scene = venue([], {}, { notes: 'old' })
    force(scene, 'notes', 'forced')
    scene.row({ notes: 'new' })
    const readAt = scene.kit.now
    const { step } = takeBack(scene, 'notes')
    expect(profile(step)).toMatchObject({ notes: 'new', overrides: [] })
    expect(profile(step).provenance).toContainEqual({ field: 'notes', source: 'sheets', at: readAt })
    expect(events(step)).toMatchObject([{ kind: 'OVERRIDE_TAKEN_BACK', detail: 'notes' }])
  })

  it('of the account has the other one watched', () => {
    const scene = venue([playing('z1')])
    const { step } = force(scene, 'soundtrackAccount', 'acc2')
    expect(of(step, 'WatchVenue').map(w => [w.account, w.stop])).toEqual([
      ['acc', true],
      ['acc2', false],
    ])
  })

  it('of the cap holds for what people ask', () => {
    const scene = venue([playing('z1', { volume: 5 })])
    force(scene, 'volumeCap', 6)
    scene.ask('VOLUME_SET', ['z1'], { value: 12 })
    expect(scene.kit.state?.volumeCap).toBe(6)
  })

  it.each([
    ['colour', 1, /^unknown_field: "colour"; there are name, location/],
    ...['constructor', 'toString', 'valueOf', 'hasOwnProperty', '__proto__'].map(
      inherited => [inherited, 'x', /^unknown_field: "/] as [string, unknown, RegExp],
    ),
    ['volumeCap', 17, /^invalid_value: volumeCap has to be a whole number from 0 to 16$/],
    ['volumeCap', null, /^invalid_value/],
    ['name', '', /^invalid_value: name is empty$/],
    ['name', 'x'.repeat(121), /longer than 120 bytes/],
    ['contactPhone', 'call me', /is no phone number/],
    ['contactEmail', 'nok', /is no e-mail address/],
    ['aliases', ['a', 2], /has to be a list/],
    ['zoneCount', 1.5, /whole number/],
  ])('of %s to %j is refused, saying why', (field, value, reason) => {
    const scene = venue()
    const before = scene.kit.state
    const { outcome } = force(scene, field, value)
    expect(outcome).toMatchObject({ outcome: 'refused', reason: expect.stringMatching(reason) })
    expect({ ...scene.kit.state, publishedAt: 0 }).toEqual({ ...before, publishedAt: 0 })
  })

  it('that is no JSON, of a removed venue, or not there to be taken back, is refused', () => {
    const scene = venue()
    expect(force(scene, 'name', 'x', { raw: '{' }).outcome).toMatchObject({
      reason: 'invalid_value: name is no JSON',
      code: 'invalid_value',
    })
    expect(takeBack(scene, 'name').outcome).toMatchObject({ reason: 'not_overridden', code: 'not_overridden' })
    scene.row({ removed: true })
    expect(force(scene, 'name', 'x').outcome).toMatchObject({ outcome: 'refused', reason: 'venue_removed' })
  })
})

it('any rows and overrides: the newest row with the overrides of now on top; all taken back, as if there had been none', () => {
  const values = {
    name: fc.constantFrom('Blue Lagoon', 'Lotus Bay'),
    notes: fc.constantFrom(null, 'quiet', 'loud'),
    volumeCap: fc.constantFrom(8, 12, 16),
    contactPhone: fc.constantFrom(null, '0811112222', '0813334444'),
  }
  type Field = keyof typeof values
  const fields = Object.keys(values) as Field[]
  const step = fc.oneof(
    fc.record({ row: fc.record(values) }),
    fc.record({ field: fc.constantFrom(...fields), force: fc.boolean(), pick: fc.record(values) }),
  )
  const master = (state: VenueState | null, field: Field) => state?.[field]
  const origin = (state: VenueState | null, field: Field) => state?.provenance.find(p => p.field === field)
  fc.assert(
    fc.property(fc.array(step, { maxLength: 15 }), steps => {
      const [scene, plain] = [venue(), venue()]
      const forced = new Map<Field, unknown>()
      for (const one of steps) {
        const at = Math.max(scene.kit.now, plain.kit.now)
        if ('row' in one) {
          const row = { ...one.row, readAt: at } as Partial<SheetRowInput>
          scene.row(row)
          plain.row(row)
        } else if (one.force) {
          force(scene, one.field, one.pick[one.field])
          if (!(one.field === 'name' && one.pick.name === null)) forced.set(one.field, scene.kit.state?.[one.field])
        } else {
          takeBack(scene, one.field)
          forced.delete(one.field)
        }
        for (const field of fields) {
          expect(master(scene.kit.state, field)).toEqual(forced.has(field) ? forced.get(field) : master(plain.kit.state, field))
        }
      }
      for (const field of forced.keys()) takeBack(scene, field)
      for (const field of fields) {
        expect(master(scene.kit.state, field)).toEqual(master(plain.kit.state, field))
        expect(origin(scene.kit.state, field)).toEqual(origin(plain.kit.state, field))
      }
    }),
    { numRuns: 200 },
  )
})

describe('a refresh', () => {
  const refresh = (scene: Scene) => {
    const id = `f${++count}`
    return scene.kit.handle('VenueRefresh', { id, by: 'main:nok', at: scene.kit.now }, { id, headers: { [COMMAND]: id } })
  }

  it('has the zones read now', () => {
    const step = refresh(venue([playing('z1')]))
    expect(polls(step)).toMatchObject([{ account: 'acc', reason: 'refresh' }])
    expect(profile(step).commands).toMatchObject([{ outcome: 'handled' }])
  })

  it('of a venue without an account, or one that has gone, is refused', () => {
    const scene = venue([], {}, { soundtrackAccount: null })
    expect(profile(refresh(scene)).commands).toMatchObject([{ outcome: 'refused', reason: 'no_soundtrack_account' }])
    scene.row({ removed: true })
    expect(profile(refresh(scene)).commands.at(-1)).toMatchObject({ outcome: 'refused', reason: 'venue_removed' })
  })
})
