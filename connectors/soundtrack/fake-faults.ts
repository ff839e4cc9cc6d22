/** Faults that a test asks the fake Soundtrack for. */

export interface Fault {
  /**
   * `latency`: done at once, answered `ms` later. `status`: HTTP `status` (503), nothing done. `rate_limited`: HTTP 429.
   * `rate_limited_200`: HTTP 200 with errors. `malformed`: done, but the answer is cut off. `drop`: done, but the connection is.
   * `no_effect`: a command is taken and changes nothing. `flapping`: the zone is on and off line by turns, at each read.
   * `forbidden`: the account or zone is not yours.
   */
  readonly kind:
    | 'latency'
    | 'status'
    | 'rate_limited'
    | 'rate_limited_200'
    | 'malformed'
    | 'no_effect'
    | 'flapping'
    | 'forbidden'
    | 'drop'
  /** Only for requests about this zone, account, or top-level field (`setVolume`, `account` …). */
  readonly zone?: string
  readonly account?: string
  readonly operation?: string
  /** How often; until healed where absent. */
  readonly times?: number
  readonly ms?: number
  readonly status?: number
  /** With `status`: what `Retry-After` says. */
  readonly retryAfterS?: number
}

/** What a request, or a part of it, is about. */
export interface Target {
  readonly operation: string
  readonly zone?: string | undefined
  readonly account?: string | undefined
}

export class Faults {
  #active: { fault: Fault; left: number }[] = []

  add(fault: Fault): void {
    this.#active.push({ fault, left: fault.times ?? Number.POSITIVE_INFINITY })
  }

  heal(): void {
    this.#active = []
  }

  /** The first fault of these kinds that one of the targets meets; using it up once. */
  take(kinds: readonly Fault['kind'][], targets: readonly Target[]): Fault | undefined {
    const found = this.#active.find(({ fault }) => kinds.includes(fault.kind) && targets.some(target => meets(fault, target)))
    if (found === undefined) return undefined
    found.left -= 1
    this.#active = this.#active.filter(a => a.left > 0)
    return found.fault
  }
}

function meets(fault: Fault, target: Target): boolean {
  return (
    (fault.operation === undefined || fault.operation === target.operation) &&
    (fault.zone === undefined || fault.zone === target.zone) &&
    (fault.account === undefined || fault.account === target.account)
  )
}
