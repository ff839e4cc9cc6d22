/**
 * Answers that are kept for a moment, and those who ask for the same at once share one. For what many ask and what may be as old as
 * that; whoever may see something else has another key.
 */
export class Memo<T> {
  readonly #ttlMs: number
  readonly #most: number
  readonly #kept = new Map<string, { readonly answer: Promise<T>; readonly until: number }>()

  /** @param most answers that are kept; the oldest go first */
  constructor(ttlMs: number, most = 2_000) {
    this.#ttlMs = ttlMs
    this.#most = most
  }

  get(key: string, load: () => Promise<T>): Promise<T> {
    const now = performance.now()
    const kept = this.#kept.get(key)
    if (kept !== undefined && kept.until > now) return kept.answer
    const answer = load()
    this.#kept.delete(key)
    this.#kept.set(key, { answer, until: now + this.#ttlMs })
    if (this.#kept.size > this.#most) this.#kept.delete(this.#kept.keys().next().value as string)
    // A failure is nobody else's.
    answer.catch(() => {
      if (this.#kept.get(key)?.answer === answer) this.#kept.delete(key)
    })
    return answer
  }
}
