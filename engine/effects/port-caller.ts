/** Calls a port once: within the effect's time-out, and so that nothing is sent by a worker that may no longer own the key. */
import type { RecordName, Records } from '../../schemas/types.ts'
import type { TopicPartition } from '../../topics/log.ts'
import { type EffectDefinition, MaybeDone, NotDone, type Port, SendRefused } from '../actor.ts'
import type { Clock } from '../clock.ts'
import { isA, messageOf } from '../errors.ts'
import { Limit } from '../limit.ts'
import type { Startable } from '../task.ts'
import { type AttemptRun, shown, type TryOutcome } from './attempt-run.ts'

/** The longest that a port may ask to wait. */
const MAX_WAIT_MS = 60 * 60 * 1000

export interface PortCallerSettings {
  readonly clock: Clock
  /** Ports by actor and effect. */
  readonly ports: Readonly<Record<string, Readonly<Record<string, Port>>>>
  /** Generation in which this worker owns the task of an inbox partition; null if it does not. */
  readonly owned: (inbox: TopicPartition) => number | null
  /** Whether this start of an attempt has not ended, as far as the inbox has been read. */
  readonly isOpen: (inbox: TopicPartition, startable: Startable) => boolean
  /** Until when, monotonic ms, this worker is certainly a member. */
  readonly lease: () => number
  readonly onError: (what: string, error: unknown) => void
  readonly draining: () => boolean
  /** A call has timed out; its result may still come. */
  readonly onTimeout: (run: AttemptRun, effect: EffectDefinition, work: ReturnType<Port>) => void
}

interface Try {
  sent: boolean
  /** Timed out or ended: whatever its port still does must not be sent. */
  over: boolean
  /** What `beforeSend()` has thrown. */
  refusal: unknown
}

export class PortCaller {
  readonly #settings: PortCallerSettings
  /** Give up what waits its turn and has not been sent. */
  readonly #waiting = new Set<() => void>()

  constructor(settings: PortCallerSettings) {
    this.#settings = settings
  }

  giveUpWaiting(): void {
    for (const giveUp of [...this.#waiting]) giveUp()
  }

  owns({ task, generation }: AttemptRun): boolean {
    return generation !== null && this.#settings.owned(task.inbox) === generation
  }

  async call(attemptRun: AttemptRun, effect: EffectDefinition, input: Records[RecordName]): Promise<TryOutcome> {
    const { startable, definition } = attemptRun
    const { retry, timeoutMs, waits = false } = effect
    const ports = this.#settings.ports[definition.name] ?? {}
    const port = Object.hasOwn(ports, startable.effect) ? ports[startable.effect] : undefined
    if (port === undefined) {
      const why = { reason: `no port for "${startable.effect}"`, code: null }
      return { type: 'ended', outcome: 'NOT_DONE', why }
    }
    const limit = new Limit(this.#settings.clock, timeoutMs, waits)
    const here: Try = { sent: false, over: false, refusal: undefined }
    const stopped = () => {
      if (!here.sent) limit.giveUp()
    }
    if (waits) this.#waiting.add(stopped)
    const run = {
      attempt: startable.attempt,
      key: startable.key,
      notAfter: startable.notAfter,
      signal: limit.signal,
      beforeSend: () => {
        try {
          this.#assertMaySend(attemptRun, here)
        } catch (error) {
          here.refusal = error
          throw error
        }
        limit.restart()
      },
    }
    try {
      const work = (async () => port(input, run))()
      const timedOut = () => {
        here.over = true
        this.#settings.onTimeout(attemptRun, effect, work)
      }
      limit.signal.addEventListener('abort', timedOut, { once: true })
      return { type: 'result', value: await limit.race(work), sent: here.sent }
    } catch (error) {
      const why = { reason: messageOf(error), code: codeOf(error) }
      const notDone = isA(error, NotDone) ? error : null
      // A refusal says nothing of what an earlier `beforeSend()` of the same try allowed.
      const uncertain = here.sent && (notDone === null || error === here.refusal)
      if (uncertain && retry !== 'idempotent') return { type: 'ended', outcome: 'UNKNOWN', why }
      if (uncertain) attemptRun.uncertain = true
      else if (!attemptRun.uncertain) this.#clearSent(attemptRun)
      if (isA(error, SendRefused)) return { type: 'ended', outcome: error.outcome, why }
      return { type: 'again', why, retryAfterMs: waitOf(notDone?.retryAfterMs) }
    } finally {
      here.over = true
      limit.end()
      this.#waiting.delete(stopped)
    }
  }

  /** A mark too many only makes a later owner more careful. */
  #clearSent({ task, startable }: AttemptRun): void {
    try {
      task.store.clearSent([startable.attempt])
    } catch (error) {
      this.#settings.onError(`cannot clear the sent mark of attempt ${startable.attempt}`, error)
    }
  }

  /** Marks the attempt as sent. @throws {SendRefused}; {NotDone} if it cannot be marked */
  #assertMaySend(run: AttemptRun, here: Try): void {
    const { clock, lease, draining, isOpen } = this.#settings
    const { startable, task } = run
    const { notAfter } = startable
    if (here.over) throw new SendRefused('RELEASED', 'this try has been given up')
    if (notAfter !== null && clock.now() > notAfter)
      throw new SendRefused('EXPIRED', `it had to be sent by ${shown(notAfter)}, and queued longer`)
    if (draining()) throw new SendRefused('RELEASED', 'the worker is stopping')
    if (clock.mono() >= lease() || !this.owns(run)) throw new SendRefused('RELEASED', 'the worker may no longer own the key')
    if (!isOpen(task.inbox, startable)) throw new SendRefused('RELEASED', 'the attempt has ended meanwhile')
    try {
      task.store.markSent(startable.attempt)
    } catch (error) {
      throw new NotDone(`the attempt could not be marked as sent: ${messageOf(error)}`, { cause: error })
    }
    here.sent = true
  }
}

/** The code that a port gave its error. */
function codeOf(error: unknown): string | null {
  return isA(error, NotDone) || isA(error, SendRefused) || isA(error, MaybeDone) ? error.code : null
}

/** How long a port asks to wait, if it names a time. */
function waitOf(ms: unknown): number | undefined {
  return typeof ms === 'number' && ms > 0 ? Math.min(ms, MAX_WAIT_MS) : undefined
}
