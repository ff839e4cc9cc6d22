/**
 * Fields of a venue that support has overridden. The value from the sources is kept below the override, and applies again once the
 * override is removed.
 */
import { phoneDigits } from '../../domain/phone.ts'
import type { FieldOverride, VenueOverride, VenueRefresh, VenueState } from '../../schemas/types.ts'
import { WATCHED, watch } from './account.ts'
import { recordEvent, pollSooner, type VenueStep } from './context.ts'
import type { Master } from './master.ts'
import { merge } from './merge.ts'
import { MAX_VOLUME } from './rules.ts'
import { clip } from '../../domain/text.ts'

const MAX_OVERRIDES = 20

/** A valid value, or what is wrong with it. */
type CheckResult = { readonly value: unknown } | { readonly wrong: string }
type Check = (value: unknown, countryCode: string) => CheckResult

const text =
  (bytes: number, { empty = false, absent = true } = {}): Check =>
  value => {
    if (value === null && absent) return { value }
    if (typeof value !== 'string') return { wrong: absent ? 'has to be a text or null' : 'has to be a text' }
    if (value.trim() === '' && !empty) return { wrong: 'is empty' }
    return Buffer.byteLength(value) <= bytes ? { value } : { wrong: `is longer than ${bytes} bytes` }
  }
const number =
  (most: number, { absent = true } = {}): Check =>
  value => {
    if (value === null && absent) return { value }
    const fits = typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most
    return fits ? { value } : { wrong: `has to be a whole number from 0 to ${most}${absent ? ', or null' : ''}` }
  }

/** The fields that can be overridden, with the limits that a row of the sheet has. */
const FIELDS: Readonly<Record<keyof Master, Check>> = {
  name: text(120, { absent: false }),
  location: text(200, { empty: true, absent: false }),
  aliases: value => {
    const fits =
      Array.isArray(value) && value.length <= 12 && value.every(alias => 'value' in text(60, { absent: false })(alias, ''))
    return fits ? { value } : { wrong: 'has to be a list of at most 12 texts of at most 60 bytes' }
  },
  contactName: text(100),
  contactEmail: (value, code) => {
    const checked = text(100)(value, code)
    return typeof value === 'string' && !/^\S+@\S+$/.test(value) ? { wrong: 'is no e-mail address' } : checked
  },
  contactPhone: (value, code) => {
    if (value === null) return { value }
    const digits = typeof value === 'string' ? phoneDigits(value, code) : null
    return digits === null ? { wrong: 'is no phone number' } : { value: digits }
  },
  contactPosition: text(60),
  soundtrackAccount: text(200),
  soundtrackLocation: text(200),
  zoneCount: number(10_000),
  subscriptionStatus: text(40),
  lastIssueDate: text(20),
  notes: text(1000),
  priorityLevel: text(40),
  slaTier: text(40),
  volumeCap: number(MAX_VOLUME, { absent: false }),
}

export function takeOverride(state: VenueState | null, override: VenueOverride, step: VenueStep): VenueState | null {
  if (state === null) return null
  const { context } = step
  const done = state.removed
    ? new Refused('venue_removed')
    : override.value === null
      ? removeOverride(state, override.field, step)
      : applyOverride(state, override, step)
  if (!(done instanceof Refused)) return done
  context.refuse(done.code, done.detail)
  return state
}

/** Why an override is refused: a code, and a text for people. */
class Refused {
  readonly code: string
  readonly detail: string
  constructor(code: string, detail = '') {
    this.code = code
    this.detail = detail
  }
}

function applyOverride(state: VenueState, { field, value, by, reason }: VenueOverride, step: VenueStep): VenueState | Refused {
  // Own properties only: "constructor" is not a field.
  const check = Object.hasOwn(FIELDS, field) ? FIELDS[field as keyof Master] : undefined
  if (check === undefined)
    return new Refused('unknown_field', `"${clip(field, 60)}"; there are ${Object.keys(FIELDS).join(', ')}`)
  const former = state.overrides.find(o => o.field === field)
  if (former === undefined && state.overrides.length >= MAX_OVERRIDES)
    return new Refused('too_many_overrides', `at most ${MAX_OVERRIDES}`)
  const parsed = parse(value as string)
  const checked = parsed === undefined ? { wrong: 'is no JSON' } : check(parsed, step.settings.countryCode)
  if ('wrong' in checked) return new Refused('invalid_value', `${field} ${checked.wrong}`)
  const origin = state.provenance.find(p => p.field === field)
  const { now: at } = step.context
  const under = former ?? {
    under: JSON.stringify(state[field as keyof Master]),
    underSource: origin?.source ?? null,
    underAt: origin?.at ?? 0,
  }
  const overridden: FieldOverride = { ...under, field, by, reason: clip(reason, 200), at }
  const after = {
    ...state,
    [field]: checked.value,
    provenance: [...state.provenance.filter(p => p.field !== field), { field, source: 'override', at }],
    overrides: [...state.overrides.filter(o => o !== former), overridden],
  }
  recordEvent(step, { kind: 'OVERRIDDEN', detail: field })
  return watched(state, after, field, step)
}

function removeOverride(state: VenueState, field: string, step: VenueStep): VenueState | Refused {
  const former = state.overrides.find(o => o.field === field)
  if (former === undefined) return new Refused('not_overridden')
  const { under, underSource, underAt } = former
  const rest = state.provenance.filter(p => p.field !== field)
  const after = {
    ...state,
    [field]: JSON.parse(under),
    provenance: underSource === null ? rest : [...rest, { field, source: underSource, at: underAt }],
    overrides: state.overrides.filter(o => o !== former),
  }
  recordEvent(step, { kind: 'OVERRIDE_TAKEN_BACK', detail: field })
  return watched(state, after, field, step)
}

function watched(before: VenueState, after: VenueState, field: string, step: VenueStep): VenueState {
  return WATCHED.includes(field) ? watch(before, after, step) : after
}

/**
 * Updates the values below the overrides with those of the sheet.
 * @returns the values of the other fields, still to be merged, and the overrides
 */
export function applyBelowOverride(
  state: VenueState,
  values: Partial<Master>,
  at: number,
): { values: Partial<Master>; overrides: FieldOverride[] } {
  const left: Partial<Master> = { ...values }
  const overrides = state.overrides.map(override => {
    const field = override.field as keyof Master
    if (!(field in values)) return override
    const { under, underSource, underAt } = override
    const held = underSource === null ? [] : [{ field, source: underSource, at: underAt }]
    const merged = merge({ [field]: JSON.parse(under) }, held, { source: 'sheets', at, values: { [field]: values[field] } })
    const [origin] = merged.origins
    delete left[field]
    return {
      ...override,
      under: JSON.stringify(merged.fields[field]),
      underSource: origin?.source ?? null,
      underAt: origin?.at ?? 0,
    }
  })
  return { values: left, overrides }
}

/** Reads the zones now. */
export function takeRefresh(state: VenueState | null, _refresh: VenueRefresh, step: VenueStep): VenueState | null {
  if (state === null) return null
  const refused = state.removed ? 'venue_removed' : state.soundtrackAccount === null ? 'no_soundtrack_account' : null
  if (refused !== null) {
    step.context.refuse(refused)
    return state
  }
  recordEvent(step, { kind: 'REFRESH' })
  pollSooner(step, state, null, 'refresh')
  return state
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
