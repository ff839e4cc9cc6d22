/**
 * The port of the WhatsApp connector's effect `send`: one request per try, within the number's budget, and what the answer
 * means. A send has no idempotency key, so it is repeated only where the provider says that it was not taken.
 */
import { NotDone, type Ports, type Run } from '../../engine/actor.ts'
import type { SendMessage, SendResultInput } from '../../schemas/types.ts'
import { HttpFailure, type Outbound, outbound, TransportFailure } from '../outbound.ts'
import type { whatsappActor } from './actor.ts'
import { errorOf, post, requestBody, type WhatsappAccount } from './client.ts'
import { PAIR_RATE, PASSING } from './errors.ts'
import { opaque } from './webhook.ts'

export interface WhatsappPortSettings extends WhatsappAccount {
  /** Messages a second from this number, until the provider says that they are too many. */
  readonly messagesPerSecond?: number
  readonly timeoutMs?: number
  readonly breaker?: { readonly failures?: number; readonly recoverMs?: number }
  /** First wait after a passing failure; doubled each time. */
  readonly firstWaitMs?: number
  /** First wait after too many messages to the same person; doubled each time. */
  readonly pairWaitMs?: number
  readonly timeScale?: number
  readonly clock?: () => number
}

export interface WhatsappPorts {
  readonly ports: Ports<ReturnType<typeof whatsappActor>>
  /** For its state, in metrics and readiness. */
  readonly outbound: Outbound
  close(): Promise<void>
}

/** A number may send 80 messages a second; one that sends much is raised to 1,000 by the provider, without a word. */
const UPGRADED = 1_000
const ORDINARY = 80
const THROUGHPUT = 130429
const SLOW_FOR_MS = 60_000

const MAX_TRIES = 3
const MAX_WAIT_MS = 30_000
/** The pair's quota refills at one message in 6 s, so a long wait is worth more than many tries. */
const MAX_PAIR_WAIT_MS = 60_000
const MAX_COUNTED = 10_000

export function whatsappPorts(settings: WhatsappPortSettings): WhatsappPorts {
  const { messagesPerSecond = UPGRADED, timeoutMs = 10_000, breaker = {}, timeScale = 1, clock = Date.now } = settings
  const { firstWaitMs = 1000, pairWaitMs = 6000 } = settings
  const calls = outbound({
    name: 'whatsapp',
    concurrency: 40,
    minTimeMs: 1000 / messagesPerSecond,
    timeoutMs,
    breaker,
    // Waits between tries are the worker's: they are longer than an attempt may hold a slot.
    retry: { attempts: 1 },
    timeScale,
  })
  const tries = counter(MAX_COUNTED)
  let faster: NodeJS.Timeout | undefined

  /** Too many from this number: the ordinary pace, for a while. */
  function slowDown(): void {
    clearTimeout(faster)
    calls.pace(1000 / Math.min(ORDINARY, messagesPerSecond))
    faster = setTimeout(() => calls.pace(1000 / messagesPerSecond), SLOW_FOR_MS).unref()
  }

  async function send(message: SendMessage, run: Run): Promise<SendResultInput> {
    const refused = (errorCode: number | null, reason: string) => {
      return { id: message.id, accepted: false, errorCode, reason, at: clock() }
    }
    let body: unknown
    try {
      body = requestBody(message, opaque(message.conversation, run.attempt))
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      return refused(null, error.message)
    }
    try {
      const providerId = await calls.call(run, signal => post(settings, body, signal))
      return { id: message.id, accepted: true, providerId, at: clock() }
    } catch (error) {
      if (error instanceof TransportFailure && !error.left) throw new NotDone(error.message, { cause: error })
      if (!(error instanceof HttpFailure)) throw error
      const { code, words } = errorOf(error.body)
      const reason = words ?? `HTTP ${error.status}`
      if (code === PAIR_RATE) throw notYet(reason, error, pairWaitMs, MAX_PAIR_WAIT_MS, tries(`pair ${run.attempt}`))
      if (code === THROUGHPUT) slowDown()
      if (!passing(error.status, code)) return refused(code, reason)
      const tried = tries(run.attempt)
      if (tried >= MAX_TRIES) return refused(code, `${reason} (tried ${tried} times)`)
      throw notYet(reason, error, firstWaitMs, MAX_WAIT_MS, tried)
    }
  }

  const close = () => {
    clearTimeout(faster)
    return calls.close()
  }
  return { ports: { send }, outbound: calls, close }
}

/** To be tried again: after the first wait, doubled with each try, at most `mostMs`. */
function notYet(reason: string, cause: Error, firstMs: number, mostMs: number, tried: number): NotDone {
  return new NotDone(reason, { cause, retryAfterMs: Math.min(mostMs, firstMs * 2 ** (tried - 1)) })
}

/** Never for 131026, 131047 and 131009, whatever status they come with. */
function passing(status: number, code: number | null): boolean {
  if (code !== null && NEVER.includes(code)) return false
  return status >= 500 || status === 429 || (code !== null && PASSING.includes(code))
}
const NEVER: readonly number[] = [131026, 131047, 131009]

/** Counts by name; the oldest are forgotten, for an attempt that expired does not come back to say so. */
function counter(max: number): (name: string) => number {
  const counts = new Map<string, number>()
  return name => {
    const count = (counts.get(name) ?? 0) + 1
    counts.delete(name)
    counts.set(name, count)
    for (const oldest of counts.keys()) {
      if (counts.size <= max) break
      counts.delete(oldest)
    }
    return count
  }
}
