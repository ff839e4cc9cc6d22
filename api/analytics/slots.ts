/**
 * Limits how many statements run at once, in total and per principal. The others wait, first come first served; a principal at their
 * own limit does not block others.
 */

/** In total, and per principal. */
export const CONCURRENCY = { all: 4, each: 2 } as const
/** Beyond this queue length statements are refused at once. */
const MAX_WAITING = { all: 200, each: 50 } as const

interface Waiting {
  readonly who: string
  readonly enter: (release: () => void) => void
}

export class Slots {
  #running = 0
  readonly #of = new Map<string, number>()
  readonly #waiting: Waiting[] = []

  /**
   * Resolves with a function to call once the statement has ended; null if no slot was free in time, or the client has gone.
   */
  enter(who: string, timeoutMs: number, gone: AbortSignal): Promise<(() => void) | null> {
    if (this.#isFree(who)) return Promise.resolve(this.#take(who))
    const own = this.#waiting.filter(waiting => waiting.who === who).length
    if (gone.aborted || this.#waiting.length >= MAX_WAITING.all || own >= MAX_WAITING.each) return Promise.resolve(null)
    return new Promise(resolve => {
      const settle = (release: (() => void) | null) => {
        clearTimeout(timer)
        gone.removeEventListener('abort', giveUp)
        resolve(release)
      }
      const waiting = { who, enter: settle }
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        settle(null)
      }
      const timer = setTimeout(giveUp, timeoutMs)
      gone.addEventListener('abort', giveUp, { once: true })
      this.#waiting.push(waiting)
    })
  }

  #isFree(who: string): boolean {
    return this.#running < CONCURRENCY.all && (this.#of.get(who) ?? 0) < CONCURRENCY.each
  }

  #take(who: string): () => void {
    this.#running++
    this.#of.set(who, (this.#of.get(who) ?? 0) + 1)
    let left = false
    return () => {
      if (left) return
      left = true
      this.#running--
      const rest = (this.#of.get(who) as number) - 1
      if (rest === 0) this.#of.delete(who)
      else this.#of.set(who, rest)
      this.#next()
    }
  }

  #next(): void {
    const index = this.#waiting.findIndex(({ who }) => this.#isFree(who))
    if (index === -1) return
    const [{ who, enter }] = this.#waiting.splice(index, 1) as [Waiting]
    enter(this.#take(who))
  }
}
