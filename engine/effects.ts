/**
 * Runs effect attempts after the commit that recorded them, and appends their outcome to their actor's own inbox. The set of runs
 * belongs to the worker, and survives the restore of a task.
 *
 *   start ─▶ port(input) ── beforeSend(): notAfter? lease? sent mark ──▶ the outside
 *                  │
 *                  ├─ result ──────────────▶ appended, in parts
 *                  ├─ NotDone ─────────────▶ again later, within notAfter; else NOT_DONE
 *                  ├─ SendRefused ─────────▶ EXPIRED or RELEASED
 *                  └─ error after beforeSend ▶ again if idempotent, else UNKNOWN
 *
 * Always appends exactly one outcome to the inbox, even if the effect, its port or its input is missing: nothing else reports it.
 */
import type { RecordName, Records } from '../schemas/types.ts'
import type { Codec } from '../topics/codec.ts'
import type { Log } from '../topics/log.ts'
import type { EffectDefinition, Port } from './actor.ts'
import { type AttemptRun, type EndedAs, shown, type Why } from './effects/attempt-run.ts'
import { OutcomeWriter } from './effects/outcome-writer.ts'
import { PortCaller, type PortCallerSettings } from './effects/port-caller.ts'
import { messageOf } from './errors.ts'
import type { Startable, Task } from './task.ts'

export interface EffectsSettings extends Omit<PortCallerSettings, 'draining' | 'onTimeout'> {
  readonly log: Log
  readonly codec: Codec
}

/** Tries of an attempt without `notAfter`; one with it is tried until then. */
const MAX_TRIES = 5
const FIRST_BACKOFF_MS = 500
const MAX_BACKOFF_MS = 30_000

export class Effects {
  readonly #settings: EffectsSettings
  /** By attempt and start. */
  readonly #running = new Map<string, AttemptRun>()
  readonly #outcomes: OutcomeWriter
  readonly #caller: PortCaller
  readonly #stopping = new AbortController()
  #idle: (() => void)[] = []
  #pending = 0

  constructor(settings: EffectsSettings) {
    this.#settings = settings
    const draining = () => this.#draining
    this.#outcomes = new OutcomeWriter({ ...settings, draining })
    this.#caller = new PortCaller({
      ...settings,
      draining,
      onTimeout: (run, effect, work) => this.#deliverLateResult(run, effect, work),
    })
  }

  get #draining(): boolean {
    return this.#stopping.signal.aborted
  }

  get size(): number {
    return this.#running.size
  }

  has(startable: Startable): boolean {
    return this.#running.has(runId(startable))
  }

  start(task: Task, startable: Startable): void {
    if (this.has(startable)) return
    const { definition, inbox } = task
    const generation = this.#settings.owned(inbox)
    const run: AttemptRun = { task, definition, startable, generation, uncertain: startable.uncertain }
    this.#running.set(runId(startable), run)
    this.#track(
      `effect ${startable.effect} of ${definition.name} failed`,
      this.#run(run).finally(() => this.#running.delete(runId(startable))),
    )
  }

  /** Draining waits for it. */
  #track(what: string, work: Promise<void>): void {
    this.#pending += 1
    void work
      .catch(error => this.#settings.onError(what, error))
      .finally(() => {
        this.#pending -= 1
        if (this.#pending === 0) for (const wake of this.#idle.splice(0)) wake()
      })
  }

  /** Starts nothing new, and lets runs finish for at most `ms`. What has not been sent is released to the next owner. */
  async drain(ms: number): Promise<void> {
    this.#stopping.abort()
    this.#caller.giveUpWaiting()
    if (this.#pending === 0) return
    const idle = new Promise<void>(resolve => this.#idle.push(resolve))
    await Promise.race([idle, this.#settings.clock.sleep(ms)])
  }

  async #run(run: AttemptRun): Promise<void> {
    const { clock } = this.#settings
    const { startable, task, definition } = run
    const { notAfter, effect: name } = startable
    const effects = definition.effects ?? {}
    const effect = Object.hasOwn(effects, name) ? effects[name] : undefined
    if (effect === undefined)
      return this.#outcomes.end(run, undefined, 'NOT_DONE', `actor "${definition.name}" has no effect "${name}"`)
    const end = (outcome: EndedAs, reason: string, code: string | null = null) =>
      this.#outcomes.end(run, effect, outcome, reason, code)
    let input: Records[RecordName]
    try {
      input = task.input(startable.key, startable.attempt) as Records[RecordName]
    } catch (error) {
      this.#settings.onError(`effect ${name} of ${definition.name} cannot start`, error)
      return end('NOT_DONE', `its input cannot be read: ${messageOf(error)}`)
    }
    // Started by earlier code, under which the effect was idempotent.
    if (run.uncertain && effect.retry !== 'idempotent') return end('UNKNOWN', 'it may have been done, and must not be repeated')
    let tries = 0
    let backoff = FIRST_BACKOFF_MS
    let last: Why = { reason: '', code: null }
    for (;;) {
      // There may be as many waiting attempts as keys; the next owner resolves those it finds open anyway.
      if (this.#draining && effect.waits === true && !run.uncertain) return
      if (this.#draining) return end('RELEASED', 'the worker is stopping')
      if (!this.#caller.owns(run)) return end('RELEASED', 'the task has moved')
      if (notAfter !== null && clock.now() > notAfter)
        return end('EXPIRED', last.reason || `not started by ${shown(notAfter)}`, last.code)
      const outcome = await this.#caller.call(run, effect, input)
      tries += 1
      if (outcome.type === 'result') return this.#outcomes.result(run, effect, outcome.value, outcome.sent)
      // It expired because of what kept it from being done before.
      if (outcome.type === 'ended') {
        const { reason, code } = outcome.why
        if (last.reason === '') return end(outcome.outcome, reason, code)
        return end(outcome.outcome, `${last.reason}; ${reason}`, last.code)
      }
      last = outcome.why
      // Waiting that was given up because the worker stops is not a failed try.
      if (!this.#draining && notAfter === null && tries >= MAX_TRIES) return end('NOT_DONE', last.reason, last.code)
      const wait = outcome.retryAfterMs ?? backoff
      backoff = Math.min(backoff * 2, MAX_BACKOFF_MS)
      await clock.sleep(notAfter === null ? wait : Math.min(wait, Math.max(1, notAfter - clock.now() + 1)), this.#stopping.signal)
    }
  }

  /** A result after the time-out is still true: the actor gets it as a late one. A failure after it changes nothing. */
  #deliverLateResult(run: AttemptRun, effect: EffectDefinition, work: ReturnType<Port>): void {
    const what = `late result of effect ${run.startable.effect} of ${run.definition.name} failed`
    work.then(
      value => this.#track(what, this.#outcomes.lateResult(run, effect, value)),
      () => {},
    )
  }
}

function runId({ attempt, start }: Startable): string {
  return `${attempt}#${start}`
}
