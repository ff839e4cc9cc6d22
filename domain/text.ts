/** Texts that must not grow: cut where a reader expects it, never within a letter. */

/** The text, cut to at most `chars` UTF-16 units including "…". */
export function cut(text: string, chars: number): string {
  return text.length <= chars ? text : `${withoutHalf(text.slice(0, chars - 1))}…`
}

/** The text without half a letter at its end, where it was cut between two UTF-16 units of one. */
export function withoutHalf(text: string): string {
  return text.replace(/[\uD800-\uDBFF]$/, '')
}

/** The text, cut to at most `bytes` bytes of UTF-8 including "…": the state of an actor is limited. */
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

/** `clip` for nullable texts. */
export function clipped<T extends string | null>(text: T, bytes: number): T {
  return (text === null ? null : clip(text, bytes)) as T
}
