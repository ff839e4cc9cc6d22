/**
 * The order of everything: each asynchronous step of the simulated world waits here until a seeded draw picks it. Time moves
 * only when nothing is ready, so hours pass in milliseconds, and the same seed gives the same run.
 */
export class Random {
  #state: number
  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0
  }
  /** 0 ≤ x < 1; mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  below(n: number): number {
    return Math.floor(this.next() * n)
  }
  chance(p: number): boolean {
    return this.next() < p
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T
  }
}

/** One life of a worker process. Dead: nothing of it ever happens again. Paused: nothing until it goes on. */
export interface Life {
  readonly name: string
  dead: boolean
  paused: boolean
}

interface Event {
  readonly at: number
  readonly life: Life | null
  readonly run: () => void
}

export class Scheduler {
  /** Wall-clock time at the beginning, ms. */
  static readonly EPOCH = 1_700_000_000_000
  readonly random: Random
  /** Virtual time, ms. */
  time = 0
  steps = 0
  #events: Event[] = []

  constructor(seed: number) {
    this.random = new Random(seed)
  }

  /** Something that happens at or after `delay` ms from now; for a life, only while it lives and is not paused. */
  at(delay: number, life: Life | null, run: () => void): void {
    this.#events.push({ at: this.time + delay, life, run })
  }

  /** A pause of a life, as a promise. */
  sleep(ms: number, life: Life | null): Promise<void> {
    return new Promise(resolve => this.at(ms, life, resolve))
  }

  /**
   * A request to a remote side and its answer: two events. The request arrives even if its sender has died meanwhile, half of
   * the time; the answer only reaches a living sender.
   */
  remote<T>(life: Life, serve: () => T, latency = 3): Promise<T> {
    const { random } = this
    return new Promise((resolve, reject) => {
      const lost = random.chance(0.5)
      this.at(random.below(latency), null, () => {
        if (life.dead && lost) return
        let answer: () => void
        try {
          const value = serve()
          answer = () => resolve(value)
        } catch (error) {
          answer = () => reject(error)
        }
        this.at(random.below(latency), life, answer)
      })
    })
  }

  /** Runs one event. Returns false when there is none before `until`. */
  async step(until: number): Promise<boolean> {
    this.#events = this.#events.filter(e => !e.life?.dead)
    let ready = this.#events.filter(e => e.at <= this.time && !e.life?.paused)
    if (ready.length === 0) {
      const next = this.#events.filter(e => !e.life?.paused).reduce((least, e) => Math.min(least, e.at), Number.POSITIVE_INFINITY)
      if (next > until) {
        this.time = until
        return false
      }
      this.time = next
      ready = this.#events.filter(e => e.at <= this.time && !e.life?.paused)
    }
    const event = this.random.pick(ready)
    this.#events.splice(this.#events.indexOf(event), 1)
    this.steps += 1
    event.run()
    await new Promise(resolve => setImmediate(resolve))
    return true
  }
}
