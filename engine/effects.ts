/**
 * Runs effect attempts after the commit that recorded them, and appends what became of them to their actor's own inbox.
 * The set of what runs belongs to the worker and outlives a task's restore.
 *
 *   start ─▶ port(input) ── leave(): notAfter? lease? note ──▶ the outside
 *                  │
 *                  ├─ result ────────────▶ appended, in parts
 *                  ├─ NotDone ───────────▶ again later, within notAfter; else NOT_DONE
 *                  ├─ NotLeaving ────────▶ EXPIRED or RELEASED
 *                  └─ error after leaving ▶ again if idempotent, else UNKNOWN
 */
import type { RecordName, Records } from '../schemas/types.ts'
import type { Codec } from '../topics/codec.ts'
import type { Append, Log, TopicPartition } from '../topics/log.ts'
import { type ActorDefinition, type EffectDefinition, NotDone, NotLeaving, type Port } from './actor.ts'
import type { Clock } from './clock.ts'
import { messageOf } from './errors.ts'
import { ATTEMPT, LAST, PART } from './headers.ts'
import type { Startable, Task } from './task.ts'

export interface EffectsSettings {
  readonly log: Log
  readonly codec: Codec
  readonly clock: Clock
  /** Ports by actor and effect. */
  readonly ports: Readonly<Record<string, Readonly<Record<string, Port>>>>
  /** Generation under which this worker owns the task of an inbox partition; null where it does not. */
  readonly owned: (inbox: TopicPartition) => number | null
  /** True while this start of an attempt has not ended, as far as the inbox is read. */
  readonly isOpen: (inbox: TopicPartition, startable: Startable) => boolean
  /** Until when, monotonic ms, this worker surely is a member. */
  readonly lease: () => number
  readonly onError: (what: string, error: unknown) => void
}

interface Running {
  readonly task: Task
  readonly definition: ActorDefinition
  readonly startable: Startable
  readonly effect: EffectDefinition
  readonly input: Records[RecordName]
  /** Generation under which it was started: under another one, someone else may have judged it. */
  readonly generation: number | null
  /** Of the present try. */
  left: boolean
  /** An earlier try, of this run or of an owner before, may have done it. */
  uncertain: boolean
}

/** Without a `notAfter`, this many tries; with one, tries until then. */
const TRIES = 5
const FIRST_BACKOFF = 500
const MAX_BACKOFF = 30_000

export class Effects {
  readonly #settings: EffectsSettings
  /** By attempt and start. */
  readonly #running = new Map<string, Running>()
  readonly #stopping = new AbortController()
  #idle: (() => void)[] = []
  #draining = false
  #underWay = 0

  constructor(settings: EffectsSettings) {
    this.#settings = settings
  }

  get size(): number {
    return this.#running.size
  }

  has(startable: Startable): boolean {
    return this.#running.has(runId(startable))
  }

  start(task: Task, startable: Startable): void {
    const { definition, inbox } = task
    const { attempt, effect: name, key, uncertain } = startable
    const effect = definition.effects?.[name]
    if (effect === undefined || this.has(startable)) return
    let input: Records[RecordName]
    try {
      input = task.input(key, attempt) as Records[RecordName]
    } catch (error) {
      this.#settings.onError(`effect ${name} of ${definition.name} cannot start`, error)
      return
    }
    const generation = this.#settings.owned(inbox)
    const running: Running = { task, definition, startable, effect, input, generation, left: false, uncertain }
    this.#running.set(runId(startable), running)
    this.#underWay += 1
    this.#run(running)
      .catch(error => this.#settings.onError(`effect ${name} of ${definition.name}`, error))
      .finally(() => {
        this.#forget(running)
        this.#underWay -= 1
        if (this.#underWay === 0) for (const wake of this.#idle.splice(0)) wake()
      })
  }

  /** Starts nothing new, lets what runs finish for at most `ms`. What has not left is released to the next owner. */
  async drain(ms: number): Promise<void> {
    this.#draining = true
    this.#stopping.abort()
    if (this.#underWay === 0) return
    const idle = new Promise<void>(resolve => this.#idle.push(resolve))
    await Promise.race([idle, this.#settings.clock.sleep(ms)])
  }

  #forget(running: Running): void {
    this.#running.delete(runId(running.startable))
  }

  /** Ends in one record on the inbox, whatever happens: nobody else would say what became of the attempt. */
  async #run(running: Running): Promise<void> {
    const { clock } = this.#settings
    const { startable } = running
    const { notAfter } = startable
    let tries = 0
    let backoff = FIRST_BACKOFF
    let reason = ''
    for (;;) {
      if (this.#draining) return this.#end(running, 'RELEASED', 'the worker is stopping')
      if (!this.#owns(running)) return this.#end(running, 'RELEASED', 'the task has moved')
      if (notAfter !== null && clock.now() > notAfter) {
        return this.#end(running, 'EXPIRED', reason || `not started by ${new Date(notAfter).toISOString()}`)
      }
      const outcome = await this.#try(running)
      tries += 1
      if (outcome.type === 'result') return this.#result(running, outcome.parts)
      if (outcome.type === 'ended') return this.#end(running, outcome.outcome, outcome.reason)
      reason = outcome.reason
      if (notAfter === null && tries >= TRIES) return this.#end(running, 'NOT_DONE', outcome.reason)
      const wait = outcome.retryAfterMs ?? backoff
      backoff = Math.min(backoff * 2, MAX_BACKOFF)
      await clock.sleep(notAfter === null ? wait : Math.min(wait, Math.max(1, notAfter - clock.now() + 1)), this.#stopping.signal)
    }
  }

  async #try(running: Running): Promise<Outcome> {
    const { startable, definition, task, effect } = running
    const { retry, timeoutMs } = effect
    const port = this.#settings.ports[definition.name]?.[startable.effect]
    if (port === undefined) return { type: 'ended', outcome: 'NOT_DONE', reason: `no port for "${startable.effect}"` }
    running.left = false
    const limit = new Limit(this.#settings.clock, timeoutMs)
    const run = {
      attempt: startable.attempt,
      key: startable.key,
      notAfter: startable.notAfter,
      signal: limit.signal,
      leave: () => {
        this.#mayLeave(running)
        limit.restart()
      },
    }
    try {
      const work = port(running.input, run)
      limit.signal.addEventListener('abort', () => this.#listen(running, work), { once: true })
      return { type: 'result', parts: partsOf(await limit.race(work)) }
    } catch (error) {
      if (error instanceof NotLeaving) return { type: 'ended', outcome: error.outcome, reason: error.message }
      const reason = messageOf(error)
      const uncertain = running.left && !(error instanceof NotDone)
      if (uncertain && retry !== 'idempotent') return { type: 'ended', outcome: 'UNKNOWN', reason }
      if (uncertain) running.uncertain = true
      else if (!running.uncertain) task.store.forget([startable.attempt])
      return { type: 'again', reason, retryAfterMs: error instanceof NotDone ? error.retryAfterMs : undefined }
    } finally {
      limit.end()
    }
  }

  /** A result that comes after its time-out is still the truth: the actor gets it as a late one. */
  #listen(running: Running, work: ReturnType<Port>): void {
    work.then(
      result => this.#result(running, partsOf(result)).catch(error => this.#settings.onError('late result', error)),
      () => {},
    )
  }

  #mayLeave(running: Running): void {
    const { clock, lease } = this.#settings
    const { startable, task } = running
    const { notAfter } = startable
    if (notAfter !== null && clock.now() > notAfter)
      throw new NotLeaving('EXPIRED', `not left by ${new Date(notAfter).toISOString()}`)
    if (this.#draining) throw new NotLeaving('RELEASED', 'the worker is stopping')
    if (clock.mono() >= lease() || !this.#owns(running)) throw new NotLeaving('RELEASED', 'the worker may no longer own the key')
    if (!this.#settings.isOpen(task.inbox, startable)) throw new NotLeaving('RELEASED', 'the attempt has ended meanwhile')
    task.store.note(startable.attempt)
    running.left = true
  }

  #owns({ task, generation }: Running): boolean {
    return generation !== null && this.#settings.owned(task.inbox) === generation
  }

  async #result(running: Running, parts: readonly object[]): Promise<void> {
    const { codec } = this.#settings
    const { effect, startable, task } = running
    const { topic, partition } = task.inbox
    const type = effect.result
    const records = parts.map((part, n) => ({
      topic,
      partition,
      key: startable.key,
      value: codec.encode(topic, type, part as never),
      headers: { [ATTEMPT]: startable.attempt, [PART]: String(n), [LAST]: n === parts.length - 1 ? '1' : '0' },
    }))
    await this.#append(records)
  }

  async #end(running: Running, ended: 'EXPIRED' | 'RELEASED' | 'NOT_DONE' | 'UNKNOWN', reason: string): Promise<void> {
    const { startable, task, uncertain } = running
    const outcome = !uncertain ? ended : ended === 'RELEASED' ? 'RETRY' : 'UNKNOWN'
    const { topic, partition } = task.inbox
    const { attempt, effect, key, start } = startable
    const value = this.#settings.codec.encode(topic, 'EffectEnded', { attempt, effect, start, outcome, reason })
    await this.#append([{ topic, partition, key, value }])
  }

  /** What became of an attempt is appended until the log takes it: nothing else knows it. */
  async #append(records: readonly Append[]): Promise<void> {
    const { log, clock, onError } = this.#settings
    for (let backoff = 100; ; backoff = Math.min(backoff * 2, 5_000)) {
      try {
        await log.append(records)
        return
      } catch (error) {
        onError('the result of an effect could not be appended; trying again', error)
        if (this.#draining && backoff > 1_000) throw error
        await clock.sleep(backoff)
      }
    }
  }
}

function partsOf(result: Awaited<ReturnType<Port>>): readonly object[] {
  return Array.isArray(result) ? result : [result]
}

function runId({ attempt, start }: Startable): string {
  return `${attempt}#${start}`
}

type Outcome =
  | { readonly type: 'result'; readonly parts: readonly object[] }
  | { readonly type: 'ended'; readonly outcome: 'EXPIRED' | 'RELEASED' | 'NOT_DONE' | 'UNKNOWN'; readonly reason: string }
  | { readonly type: 'again'; readonly reason: string; readonly retryAfterMs: number | undefined }

/** Why a limit is lifted: a reason of our own spares making an exception with its stack. */
const OVER = 'over'

/** Before leaving, a port may queue this many time-outs long. */
const QUEUE_TIMEOUTS = 5

/** The time-out of one try: generous while it queues, strict from the moment it leaves. */
class Limit {
  readonly #clock: Clock
  readonly #ms: number
  readonly #timedOut = new AbortController()
  #stop = new AbortController()

  constructor(clock: Clock, ms: number) {
    this.#clock = clock
    this.#ms = ms
    this.#arm(ms * QUEUE_TIMEOUTS)
  }

  get signal(): AbortSignal {
    return this.#timedOut.signal
  }

  restart(): void {
    this.#stop.abort(OVER)
    this.#stop = new AbortController()
    this.#arm(this.#ms)
  }

  race<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(resolve, reject)
      this.signal.addEventListener('abort', () => reject(new Error(`no answer within ${this.#ms} ms`)), { once: true })
    })
  }

  end(): void {
    this.#stop.abort(OVER)
  }

  #arm(ms: number): void {
    const { signal } = this.#stop
    void this.#clock.sleep(ms, signal).then(() => {
      if (!signal.aborted) this.#timedOut.abort()
    })
  }
}
