/** The text, or its beginning and "…", in at most so many bytes of UTF-8; the state of an actor has no more room. */
export function clip(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text
  let kept = ''
  let size = Buffer.byteLength('…')
  for (const { segment } of graphemes.segment(text)) {
    size += Buffer.byteLength(segment)
    if (size > bytes) break
    kept += segment
  }
  return `${kept}…`
}

/** Thai vowels and tones stay with their consonant. */
const graphemes = new Intl.Segmenter('th', { granularity: 'grapheme' })

/** `clip` of what may be absent. */
export function clipped<T extends string | null>(text: T, bytes: number): T {
  return (text === null ? null : clip(text, bytes)) as T
}

/**
 * Digits of a phone in E.164, of what people write: `+66 (0)81 234 5678`, `081-234-5678 / 02 …` (the first counts).
 * @returns null where it is no phone.
 */
export function phoneDigits(written: string | null, countryCode: string): string | null {
  const first =
    (written ?? '')
      .split(/[/,;]|\bor\b/)[0]
      ?.replace(/\(0\)/g, '')
      .trim() ?? ''
  const digits = first.replace(/\D/g, '')
  const full = first.startsWith('+')
    ? digits
    : digits.startsWith('00')
      ? digits.slice(2)
      : digits.startsWith('0')
        ? countryCode + digits.slice(1)
        : digits
  return full.length >= 7 && full.length <= 15 ? full : null
}
