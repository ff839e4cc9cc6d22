/**
 * Appends the outcome of attempts to the inboxes of their actors, until the log takes it: nothing else reports it.
 */
import type { Codec } from '../../topics/codec.ts'
import { type Append, type Log, LogError, type LogErrorCode } from '../../topics/log.ts'
import type { EffectDefinition } from '../actor.ts'
import type { Clock } from '../clock.ts'
import { cut, isA, messageOf } from '../errors.ts'
import { ATTEMPT, LAST, PART } from '../headers.ts'
import { checkSize } from '../size.ts'
import type { AttemptRun, EndedAs } from './attempt-run.ts'

/** A result in more parts than this is refused. */
const MAX_PARTS = 10_000
const FIRST_BACKOFF_MS = 100
const MAX_BACKOFF_MS = 5_000
/** While draining, an append whose back-off has grown beyond this is given up. */
const DRAINING_BACKOFF_MS = 1_000
/** How the log refuses a record that it will never take. */
const REFUSALS: readonly LogErrorCode[] = ['too_large', 'no_topic']

export interface OutcomeWriterSettings {
  readonly log: Log
  readonly codec: Codec
  readonly clock: Clock
  readonly onError: (what: string, error: unknown) => void
  readonly draining: () => boolean
}

export class OutcomeWriter {
  readonly #settings: OutcomeWriterSettings

  constructor(settings: OutcomeWriterSettings) {
    this.#settings = settings
  }

  /** Appends a result. If no record can hold it, it ends the attempt instead: what it is about may have happened. */
  async result(run: AttemptRun, effect: EffectDefinition, value: unknown, sent: boolean): Promise<void> {
    try {
      await this.#append(this.#records(run, effect, value))
    } catch (error) {
      if (isA(error, AppendFailed) && !isRefusal(error.cause)) throw error
      const why = isA(error, AppendFailed) ? error.cause : error
      const { startable, definition } = run
      this.#settings.onError(`effect ${startable.effect} of ${definition.name}: its result cannot be kept`, why)
      await this.end(run, effect, sent ? 'UNKNOWN' : 'NOT_DONE', `its result cannot be kept: ${messageOf(why)}`)
    }
  }

  /** Appends a result that came after the attempt had timed out. */
  async lateResult(run: AttemptRun, effect: EffectDefinition, value: unknown): Promise<void> {
    await this.#append(this.#records(run, effect, value))
  }

  /** Appends that an attempt ended without a result. One that may have happened ends as UNKNOWN, or is repeated. */
  async end(
    run: AttemptRun,
    effect: EffectDefinition | undefined,
    ended: EndedAs,
    reason: string,
    code: string | null = null,
  ): Promise<void> {
    const { startable, task, uncertain } = run
    const outcome = !uncertain ? ended : ended === 'RELEASED' && effect?.retry === 'idempotent' ? 'RETRY' : 'UNKNOWN'
    const { topic, partition } = task.inbox
    const { attempt, effect: name, key, start } = startable
    const record = { attempt, effect: name, start, outcome, reason: cut(reason), code } as const
    await this.#append([{ topic, partition, key, value: this.#settings.codec.encode(topic, 'EffectEnded', record) }])
  }

  /** @throws if it is not a valid result */
  #records({ startable, task }: AttemptRun, effect: EffectDefinition, value: unknown): Append[] {
    const { topic, partition } = task.inbox
    const parts: readonly unknown[] = Array.isArray(value) ? value : [value]
    if (parts.length === 0) throw new Error('a result without parts')
    if (parts.length > MAX_PARTS) throw new Error(`a result in ${parts.length} parts, ${MAX_PARTS} at most`)
    return parts.map((part, n) => {
      const record = {
        topic,
        partition,
        key: startable.key,
        value: this.#settings.codec.encode(topic, effect.result, part as never),
        headers: { [ATTEMPT]: startable.attempt, [PART]: String(n), [LAST]: n === parts.length - 1 ? '1' : '0' },
      }
      checkSize(`part ${n} of the result`, record)
      return record
    })
  }

  /** @throws {AppendFailed} if retrying cannot help, or takes too long while draining */
  async #append(records: readonly Append[]): Promise<void> {
    const { log, clock, onError, draining } = this.#settings
    for (let backoff = FIRST_BACKOFF_MS; ; backoff = Math.min(backoff * 2, MAX_BACKOFF_MS)) {
      try {
        await log.append(records)
        return
      } catch (error) {
        if (isRefusal(error) || (isA(error, LogError) && error.code === 'closed')) throw new AppendFailed(error)
        onError('the result of an effect could not be appended; trying again', error)
        if (draining() && backoff > DRAINING_BACKOFF_MS) throw new AppendFailed(error)
        await clock.sleep(backoff)
      }
    }
  }
}

class AppendFailed extends Error {
  constructor(cause: unknown) {
    super(`not appended: ${messageOf(cause)}`, { cause })
    this.name = 'AppendFailed'
  }
}

function isRefusal(error: unknown): boolean {
  return isA(error, LogError) && REFUSALS.includes(error.code)
}
