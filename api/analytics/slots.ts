/**
 * How many statements run at once. Those beyond wait their turn, first come first served; one who asks for much waits behind the
 * others, not they behind him.
 */

/** All together, and of one principal. */
export const AT_ONCE = { all: 4, each: 2 } as const
/** More than that do not wait: they are refused at once. */
const MOST_WAITING = { all: 200, each: 50 } as const

interface Waiting {
  readonly who: string
  readonly enter: (beforeSend: () => void) => void
}

export class Slots {
  #running = 0
  readonly #of = new Map<string, number>()
  readonly #waiting: Waiting[] = []

  /**
   * Resolves with what is to be called once the statement has ended; null where there was no place in time, or nobody waits any more.
   */
  enter(who: string, ms: number, gone: AbortSignal): Promise<(() => void) | null> {
    if (this.#isFree(who)) return Promise.resolve(this.#take(who))
    const own = this.#waiting.filter(waiting => waiting.who === who).length
    if (gone.aborted || this.#waiting.length >= MOST_WAITING.all || own >= MOST_WAITING.each) return Promise.resolve(null)
    return new Promise(resolve => {
      const settle = (leave: (() => void) | null) => {
        clearTimeout(timer)
        gone.removeEventListener('abort', giveUp)
        resolve(leave)
      }
      const waiting = { who, enter: settle }
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        settle(null)
      }
      const timer = setTimeout(giveUp, ms)
      gone.addEventListener('abort', giveUp, { once: true })
      this.#waiting.push(waiting)
    })
  }

  #isFree(who: string): boolean {
    return this.#running < AT_ONCE.all && (this.#of.get(who) ?? 0) < AT_ONCE.each
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
