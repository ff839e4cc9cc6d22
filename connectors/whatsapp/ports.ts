/**
 * The port of the WhatsApp connector's effect `send`: one request per try, within the number's budget, and what the answer
 * means. A send has no idempotency key, so it is repeated only where the provider says that it was not taken.
 */
import { NotDone, type Run } from '../../engine/actor.ts'
import type { SendMessage, SendResultInput } from '../../schemas/types.ts'
import type { BreakerOptions } from '../breaker.ts'
import { HttpFailure, isProviderFault, TransportFailure } from '../call-errors.ts'
import { type Outbound, outbound } from '../outbound.ts'
import { counter, Pause, type PauseOptions, pauseMs, retryAfterOf, spread } from '../pause.ts'
import type { DeliveryPorts } from '../channel/delivery.ts'
import { errorOf, post, requestBody, type WhatsappAccount } from './client.ts'
import { LIMITS_OF_THE_NUMBER, OF_ONE_PERSON, PAIR_RATE, PASSING } from './errors.ts'
import { encodeCallbackData } from './callback-data.ts'

export interface WhatsappPortSettings extends WhatsappAccount {
  /** Messages a second from this number, until the provider says that they are too many. */
  readonly messagesPerSecond?: number
  readonly timeoutMs?: number
  /** Opens by the rate of failures: its `failures` in a row are not used. */
  readonly breaker?: BreakerOptions
  /** How long nothing is sent from the number after the provider has reported a rate limit. */
  readonly limit?: PauseOptions
  /** First wait after a passing failure; doubled each time. */
  readonly firstWaitMs?: number
  /** First wait after too many messages to the same person; doubled each time. */
  readonly pairWaitMs?: number
  readonly timeScale?: number
  readonly clock?: () => number
}

export interface WhatsappPorts {
  readonly ports: DeliveryPorts
  /** For its state, in metrics and readiness. */
  readonly outbound: Outbound
  close(): Promise<void>
}

/** A number may send 80 messages a second; one that sends much is raised to 1,000 by the provider, without a word. */
const UPGRADED = 1_000
const ORDINARY = 80
const THROUGHPUT = 130429
const SLOW_FOR_MS = 60_000

/** A minute and a half in total: a short outage loses no message, and a message that the provider cannot accept soon reaches a human. */
const MAX_TRIES = 8
const MAX_WAIT_MS = 30_000
/** The pair's quota refills at one message in 6 s, so a long wait is worth more than many tries. */
const MAX_PAIR_WAIT_MS = 60_000

export function whatsappPorts(settings: WhatsappPortSettings): WhatsappPorts {
  const { messagesPerSecond = UPGRADED, timeoutMs = 10_000, breaker = {}, timeScale = 1, clock = Date.now } = settings
  const { firstWaitMs = 1000, pairWaitMs = 6000 } = settings
  const calls = outbound({
    name: 'whatsapp',
    concurrency: 40,
    minTimeMs: 1000 / messagesPerSecond,
    timeoutMs,
    breaker: { rate: {}, ...breaker },
    failure: error => isProviderFault(error) && !(error instanceof HttpFailure && OF_ONE_PERSON.includes(codeOf(error) ?? 0)),
    // Waits between tries are the worker's: they are longer than an attempt may hold a slot.
    retry: { attempts: 1 },
    timeScale,
  })
  const tries = counter()
  const pause = new Pause(settings.limit)
  let faster: NodeJS.Timeout | undefined

  /** Too many messages from this number: falls back to the ordinary rate for a while. */
  function slowDown(): void {
    clearTimeout(faster)
    calls.pace(1000 / Math.min(ORDINARY, messagesPerSecond))
    faster = setTimeout(() => calls.pace(1000 / messagesPerSecond), SLOW_FOR_MS).unref()
  }

  async function send(message: SendMessage, run: Run): Promise<SendResultInput> {
    const { id, more } = message
    const refused = (errorCode: number | null, reason: string) => {
      return { id, more, accepted: false, errorCode, reason, at: clock() }
    }
    let body: unknown
    try {
      body = requestBody(message, encodeCallbackData(message.conversation, run.attempt))
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      return refused(null, error.message)
    }
    if (pause.left > 0) throw new NotDone('the number is limited', { retryAfterMs: spread(pause.left) })
    let sentAt = performance.now()
    const request = (signal: AbortSignal) => {
      sentAt = performance.now()
      return post(settings, body, signal)
    }
    try {
      const providerId = await calls.call(run, request, { party: message.to })
      pause.passed(sentAt)
      return { id, more, accepted: true, providerId, at: clock() }
    } catch (error) {
      if (error instanceof TransportFailure && !error.left) throw new NotDone(error.message, { cause: error })
      if (!(error instanceof HttpFailure)) throw error
      const { code, words } = errorOf(error.body)
      const reason = words ?? `HTTP ${error.status}`
      const askedMs = retryAfterOf(error.headers) ?? 0
      // A rate-limited message is not refused: it is sent later, while it is still useful.
      if (code === PAIR_RATE) {
        const wait = pauseMs(tries(`limit ${run.attempt}`), { firstMs: pairWaitMs, mostMs: MAX_PAIR_WAIT_MS })
        throw new NotDone(reason, { cause: error, retryAfterMs: spread(Math.max(wait, askedMs)) })
      }
      if (error.status === 429 || (code !== null && LIMITS_OF_THE_NUMBER.includes(code))) {
        if (code === THROUGHPUT) slowDown()
        const wait = Math.max(pause.limited(sentAt, askedMs), pauseMs(tries(`limit ${run.attempt}`), settings.limit))
        throw new NotDone(reason, { cause: error, retryAfterMs: spread(wait) })
      }
      if (!passing(error.status, code)) return refused(code, reason)
      const tried = tries(run.attempt)
      if (tried >= MAX_TRIES) return refused(code, `${reason} (tried ${tried} times)`)
      const wait = pauseMs(tried, { firstMs: firstWaitMs, mostMs: MAX_WAIT_MS })
      throw new NotDone(reason, { cause: error, retryAfterMs: Math.max(spread(wait), askedMs) })
    }
  }

  const close = () => {
    clearTimeout(faster)
    return calls.close()
  }
  return { ports: { send }, outbound: calls, close }
}

/** Never for 131026, 131047 and 131009, whatever status they come with. */
function passing(status: number, code: number | null): boolean {
  if (code !== null && NEVER.includes(code)) return false
  return status >= 500 || (code !== null && PASSING.includes(code))
}
const NEVER: readonly number[] = [131026, 131047, 131009]

function codeOf({ body }: HttpFailure): number | null {
  return errorOf(body).code
}
