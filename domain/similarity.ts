/** Likeness of single words. */

/** Edits (insert, delete, replace, swap neighbours) between two words; counts no further than `most` + 1. */
export function damerau(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return most + 1
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    let least = i
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let edits = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) edits = Math.min(edits, before[j - 2]! + 1)
      row.push(edits)
      if (edits < least) least = edits
    }
    if (least > most) return most + 1
    before = last
    last = row
  }
  return Math.min(last[b.length]!, most + 1)
}

/** Edits allowed in a word of this length. */
export function maxEdits(length: number): number {
  if (length < 4) return 0
  return length < 8 ? 1 : 2
}

/** Jaro–Winkler similarity, 0..1 (Winkler 1990; prefix weight 0.1, at most 4 letters). */
export function jaroWinkler(a: string, b: string): number {
  if (a === b) return 1
  const reach = Math.max(0, Math.floor(Math.max(a.length, b.length) / 2) - 1)
  const taken = new Array<boolean>(b.length).fill(false)
  const matchedA: string[] = []
  for (let i = 0; i < a.length; i++) {
    for (let j = Math.max(0, i - reach); j < Math.min(b.length, i + reach + 1); j++) {
      if (taken[j] || a[i] !== b[j]) continue
      taken[j] = true
      matchedA.push(a[i]!)
      break
    }
  }
  const m = matchedA.length
  if (m === 0) return 0
  const matchedB = [...b].filter((_, j) => taken[j])
  const swapped = matchedA.filter((letter, at) => letter !== matchedB[at]).length / 2
  const jaro = (m / a.length + m / b.length + (m - swapped) / m) / 3
  let prefix = 0
  while (prefix < 4 && a[prefix] !== undefined && a[prefix] === b[prefix]) prefix++
  return jaro + prefix * 0.1 * (1 - jaro)
}

/** Trigrams of a word with its edges marked. */
export function trigrams(word: string): Set<string> {
  const marked = ` ${word} `
  const found = new Set<string>()
  for (let at = 0; at + 3 <= marked.length; at++) found.add(marked.slice(at, at + 3))
  return found
}

/** The one of the known words that a mistyped one most likely stands for; null where none is near. */
export function nearest(word: string, known: Iterable<string>, most = MAX_TYPING_EDITS): string | null {
  const typed = word.toLowerCase()
  let [best, least] = [null as string | null, Number.POSITIVE_INFINITY]
  for (const candidate of known) {
    const edits = damerau(typed, candidate.toLowerCase(), most)
    if (edits < least && edits <= most && edits * 3 <= candidate.length) [best, least] = [candidate, edits]
  }
  return best
}
const MAX_TYPING_EDITS = 2
