/** Volume and duration in a clause of `normalize.ts`. */
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../domain/time.ts'
import { normalise } from './normalize.ts'
import { compile } from './phrases.ts'
import numbers from './words/numbers.json' with { type: 'json' }

/** Volumes are 0..16, as Soundtrack has them. */
const MAX_VOLUME = 16
const A_BIT_STEPS = 1
const A_LOT_STEPS = 4
const A_FEW_MINUTES_MS = 5 * MINUTE_MS
/** Longest pause. */
const MAX_DURATION_MS = 24 * HOUR_MS

export interface Volume {
  /** Volume asked for, 0..16. */
  readonly target: number | null
  /** Steps up or down. */
  readonly steps: number | null
}

const byLength = (a: string, b: string) => b.length - a.length
const values = new Map(Object.entries(numbers.words).map(([word, value]) => [normalise(word), value]))
const ordinals = new Map(Object.entries(numbers.ordinals).map(([word, value]) => [normalise(word), value]))
const any = (words: readonly string[]) => `(?:${words.map(normalise).sort(byLength).map(bounded).join('|')})`
const number = `(?<![\\p{L}\\d.:])\\d+(?:\\.\\d+)?|${any([...values.keys()])}`

function bounded(word: string): string {
  return /[\u0e01-\u0e4e]/.test(word) ? word : `(?<![\\p{L}\\p{N}])${word}(?![\\p{L}\\p{N}])`
}

/** Units also follow a digit without a space: "20min". */
function unit(words: readonly string[]): string {
  return `(?:${words.map(normalise).sort(byLength).join('|')})(?![a-z0-9])`
}

const UNITS: readonly (readonly [RegExp, number])[] = [
  [new RegExp(`(${number}) ?${unit(numbers.hours)}`, 'gu'), HOUR_MS],
  [new RegExp(`(${number}) ?${unit(numbers.minutes)}`, 'gu'), MINUTE_MS],
  [new RegExp(`(${number}) ?${unit(numbers.seconds)}`, 'gu'), SECOND_MS],
]
const FIXED: readonly (readonly [RegExp, number])[] = [
  [new RegExp(any(numbers.andHalf), 'gu'), 1.5 * HOUR_MS],
  [new RegExp(any(numbers.halfHour), 'gu'), HOUR_MS / 2],
  [new RegExp(any(numbers.oneHour), 'gu'), HOUR_MS],
  [new RegExp(any(numbers.moment), 'gu'), A_FEW_MINUTES_MS],
]
const CLOCK = /(?<!\d)\d{1,2}(?:[:.]\d{2})? ?(?:am|pm|oclock|o clock|น\.|โมง|ทุ่ม)|(?<!\d)\d{1,2}:\d{2}(?!\d)/gu
const PERCENT = new RegExp(`(${number}) ?(?:%|percent|per cent|เปอร์เซ็นต์|เปอร์เซนต์)`, 'u')
const SIGNED = /(?<![\p{L}\d])([+-]) ?(\d+)(?!\d)/u
const STEPS = new RegExp(`(?:${any(numbers.more)} ?(${number})(?! ?%))|(${number}) ?${any(numbers.step)}`, 'u')
const TARGET = new RegExp(`${any(numbers.target)} ?(${number})`, 'u')
const HALF = compile(numbers.half)
const MOST = compile(numbers.most)
const LEAST = compile(numbers.least)
const BIT = compile(numbers.aBit)
const LOT = compile(numbers.aLot)

/** A number in digits or words. */
export function numberOf(text: string): number | null {
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text)
  return values.get(text) ?? null
}

/** "second", "2nd", "แรก". */
export function ordinalOf(text: string): number | null {
  return ordinals.get(text) ?? null
}

/** The duration, ms; null if there is none, or none that a pause can have. */
export function durationIn(clause: string): number | null {
  return withoutTimes(clause).durationMs
}

/** The volume that a clause asks for. A number above 16 is a percentage. */
export function volumeIn(clause: string): Volume {
  const text = withoutTimes(clause).rest
  const percent = PERCENT.exec(text)
  if (percent !== null) return { target: scaled(numberOf(percent[1]!)!), steps: null }
  const signed = SIGNED.exec(text)
  if (signed !== null) return { target: null, steps: clampSteps(Number(signed[2])) }
  const target = TARGET.exec(text)
  const steps = STEPS.exec(text)
  // "2 levels" is steps though "level 2" is a target; "down to 5" is a target though "down 5" is steps.
  if (steps !== null && (target === null || steps.index <= target.index)) {
    return { target: null, steps: clampSteps(numberOf(steps[1] ?? steps[2]!)!) }
  }
  if (target !== null) return { target: volume(numberOf(target[1]!)!), steps: null }
  if (HALF.test(text)) return { target: MAX_VOLUME / 2, steps: null }
  if (MOST.test(text)) return { target: MAX_VOLUME, steps: null }
  if (LEAST.test(text)) return { target: 1, steps: null }
  if (BIT.test(text)) return { target: null, steps: A_BIT_STEPS }
  if (LOT.test(text)) return { target: null, steps: A_LOT_STEPS }
  return { target: null, steps: null }
}

/** Removes durations and times of day from a clause, so that their numbers are not read as volumes. */
function withoutTimes(clause: string): { durationMs: number | null; rest: string } {
  let durationMs = 0
  let rest = clause.replace(CLOCK, ' ')
  for (const [pattern, length] of FIXED) {
    rest = rest.replace(pattern, () => {
      durationMs += length
      return ' '
    })
  }
  for (const [pattern, length] of UNITS) {
    rest = rest.replace(pattern, (_, count: string) => {
      durationMs += (numberOf(count) ?? 0) * length
      return ' '
    })
  }
  return { durationMs: durationMs > 0 && durationMs <= MAX_DURATION_MS ? Math.round(durationMs) : null, rest }
}

function volume(value: number): number {
  return value > MAX_VOLUME ? scaled(value) : Math.round(value)
}

function scaled(percent: number): number {
  return Math.round((Math.min(100, percent) / 100) * MAX_VOLUME)
}

function clampSteps(steps: number): number {
  return Math.min(MAX_VOLUME, Math.max(1, Math.round(steps)))
}
