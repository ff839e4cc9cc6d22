/**
 * Runs effect attempts after the commit that recorded them, and appends what became of them to their actor's own inbox.
 * The set of what runs belongs to the worker and outlives a task's restore.
 *
 *   start ─▶ port(input) ── beforeSend(): notAfter? lease? note ──▶ the outside
 *                  │
 *                  ├─ result ────────────▶ appended, in parts
 *                  ├─ NotDone ───────────▶ again later, within notAfter; else NOT_DONE
 *                  ├─ SendRefused ────────▶ EXPIRED or RELEASED
 *                  └─ error after leaving ▶ again if idempotent, else UNKNOWN
 *
 * Ends in one record of the inbox, whatever happens, even where the effect, its port or its input is missing.
 */
import type { RecordName, Records } from '../schemas/types.ts'
import type { Codec } from '../topics/codec.ts'
import { type Append, type Log, LogError, type LogErrorCode, type TopicPartition } from '../topics/log.ts'
import { type ActorDefinition, type EffectDefinition, NotDone, SendRefused, type Port } from './actor.ts'
import type { Clock } from './clock.ts'
import { cut, isA, messageOf } from './errors.ts'
import { ATTEMPT, LAST, PART } from './headers.ts'
import { Limit } from './limit.ts'
import { checkSize } from './size.ts'
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
  /** Generation under which it was started: under another one, someone else may have judged it. */
  readonly generation: number | null
  /** A try that is over, of this run or of an owner before, may have done it. */
  uncertain: boolean
}

/** One call of the port. */
interface Try {
  left: boolean
  /** Given up or ended: what its port still does must not leave. */
  over: boolean
  /** What `beforeSend()` has thrown. */
  refusal: unknown
}

/** Without a `notAfter`, this many tries; with one, tries until then. */
const TRIES = 5
const FIRST_BACKOFF = 500
const MAX_BACKOFF = 30_000
/** What a port may ask to wait, ms. */
const MAX_WAIT = 60 * 60 * 1000
/** A result in more parts than this is none. */
const MAX_PARTS = 10_000
/** What the log says of a record that it will never take. */
const REFUSALS: readonly LogErrorCode[] = ['too_large', 'no_topic']

export class Effects {
  readonly #settings: EffectsSettings
  /** By attempt and start. */
  readonly #running = new Map<string, Running>()
  readonly #stopping = new AbortController()
  /** Gives up what waits its turn and has not left. */
  readonly #waiting = new Set<() => void>()
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
    if (this.has(startable)) return
    const { definition, inbox } = task
    const generation = this.#settings.owned(inbox)
    const running: Running = { task, definition, startable, generation, uncertain: startable.uncertain }
    this.#running.set(runId(startable), running)
    this.#follow(
      `effect ${startable.effect} of ${definition.name}`,
      this.#run(running).finally(() => this.#running.delete(runId(startable))),
    )
  }

  /** Draining waits for it. */
  #follow(what: string, work: Promise<void>): void {
    this.#underWay += 1
    void work
      .catch(error => this.#settings.onError(what, error))
      .finally(() => {
        this.#underWay -= 1
        if (this.#underWay === 0) for (const wake of this.#idle.splice(0)) wake()
      })
  }

  /** Starts nothing new, lets what runs finish for at most `ms`. What has not left is released to the next owner. */
  async drain(ms: number): Promise<void> {
    this.#draining = true
    this.#stopping.abort()
    for (const stopped of [...this.#waiting]) stopped()
    if (this.#underWay === 0) return
    const idle = new Promise<void>(resolve => this.#idle.push(resolve))
    await Promise.race([idle, this.#settings.clock.sleep(ms)])
  }

  async #run(running: Running): Promise<void> {
    const { clock } = this.#settings
    const { startable, task, definition } = running
    const { notAfter, effect: name } = startable
    const effects = definition.effects ?? {}
    const effect = Object.hasOwn(effects, name) ? effects[name] : undefined
    if (effect === undefined)
      return this.#end(running, undefined, 'NOT_DONE', `actor "${definition.name}" has no effect "${name}"`)
    const end = (outcome: EndedAs, reason: string) => this.#end(running, effect, outcome, reason)
    let input: Records[RecordName]
    try {
      input = task.input(startable.key, startable.attempt) as Records[RecordName]
    } catch (error) {
      this.#settings.onError(`effect ${name} of ${definition.name} cannot start`, error)
      return end('NOT_DONE', `its input cannot be read: ${messageOf(error)}`)
    }
    // Earlier code, under which it might be repeated, has started it.
    if (running.uncertain && effect.retry !== 'idempotent')
      return end('UNKNOWN', 'it may have been done, and must not be repeated')
    let tries = 0
    let backoff = FIRST_BACKOFF
    let reason = ''
    for (;;) {
      // What waits its turn is as many attempts as there are keys, and the next owner judges what it finds open anyhow.
      if (this.#draining && effect.waits === true && !running.uncertain) return
      if (this.#draining) return end('RELEASED', 'the worker is stopping')
      if (!this.#owns(running)) return end('RELEASED', 'the task has moved')
      if (notAfter !== null && clock.now() > notAfter) return end('EXPIRED', reason || `not started by ${shown(notAfter)}`)
      const outcome = await this.#try(running, effect, input)
      tries += 1
      if (outcome.type === 'result') return this.#result(running, effect, outcome)
      // What it expired for is what kept it from being done before.
      if (outcome.type === 'ended') return end(outcome.outcome, reason === '' ? outcome.reason : `${reason}; ${outcome.reason}`)
      reason = outcome.reason
      // What was let go while the worker stops has not been tried.
      if (!this.#draining && notAfter === null && tries >= TRIES) return end('NOT_DONE', outcome.reason)
      const wait = outcome.retryAfterMs ?? backoff
      backoff = Math.min(backoff * 2, MAX_BACKOFF)
      await clock.sleep(notAfter === null ? wait : Math.min(wait, Math.max(1, notAfter - clock.now() + 1)), this.#stopping.signal)
    }
  }

  async #try(running: Running, effect: EffectDefinition, input: Records[RecordName]): Promise<Outcome> {
    const { startable, definition } = running
    const { retry, timeoutMs, waits = false } = effect
    const ports = this.#settings.ports[definition.name] ?? {}
    const port = Object.hasOwn(ports, startable.effect) ? ports[startable.effect] : undefined
    if (port === undefined) return { type: 'ended', outcome: 'NOT_DONE', reason: `no port for "${startable.effect}"` }
    const limit = new Limit(this.#settings.clock, timeoutMs, waits)
    const here: Try = { left: false, over: false, refusal: undefined }
    const stopped = () => {
      if (!here.left) limit.giveUp()
    }
    if (waits) this.#waiting.add(stopped)
    const run = {
      attempt: startable.attempt,
      key: startable.key,
      notAfter: startable.notAfter,
      signal: limit.signal,
      beforeSend: () => {
        try {
          this.#mayLeave(running, here)
        } catch (error) {
          here.refusal = error
          throw error
        }
        limit.restart()
      },
    }
    try {
      const work = (async () => port(input, run))()
      const giveUp = () => {
        here.over = true
        this.#listen(running, effect, work)
      }
      limit.signal.addEventListener('abort', giveUp, { once: true })
      return { type: 'result', value: await limit.race(work), left: here.left }
    } catch (error) {
      const reason = messageOf(error)
      const notDone = isA(error, NotDone) ? error : null
      // What `beforeSend()` refuses says nothing of what an earlier `beforeSend()` of the same try let pass.
      const uncertain = here.left && (notDone === null || error === here.refusal)
      if (uncertain && retry !== 'idempotent') return { type: 'ended', outcome: 'UNKNOWN', reason }
      if (uncertain) running.uncertain = true
      else if (!running.uncertain) this.#forgetNote(running)
      if (isA(error, SendRefused)) return { type: 'ended', outcome: error.outcome, reason }
      return { type: 'again', reason, retryAfterMs: waitOf(notDone?.retryAfterMs) }
    } finally {
      here.over = true
      limit.end()
      this.#waiting.delete(stopped)
    }
  }

  /** A note too many only makes a later judgement more careful. */
  #forgetNote({ task, startable }: Running): void {
    try {
      task.store.clearSent([startable.attempt])
    } catch (error) {
      this.#settings.onError(`the note of attempt ${startable.attempt} could not be taken back`, error)
    }
  }

  /** A result that comes after its time-out is still the truth: the actor gets it as a late one. What failed late has ended already. */
  #listen(running: Running, effect: EffectDefinition, work: ReturnType<Port>): void {
    const late = `a late result of ${running.startable.effect}`
    work.then(
      value => this.#follow(late, this.#late(running, effect, value)),
      () => {},
    )
  }

  async #late(running: Running, effect: EffectDefinition, value: unknown): Promise<void> {
    await this.#append(this.#records(running, effect, value))
  }

  /** @throws {SendRefused}; {NotDone} where it cannot be noted */
  #mayLeave(running: Running, here: Try): void {
    const { clock, lease } = this.#settings
    const { startable, task } = running
    const { notAfter } = startable
    if (here.over) throw new SendRefused('RELEASED', 'this try has been given up')
    if (notAfter !== null && clock.now() > notAfter)
      throw new SendRefused('EXPIRED', `it had to leave by ${shown(notAfter)}, and queued longer`)
    if (this.#draining) throw new SendRefused('RELEASED', 'the worker is stopping')
    if (clock.mono() >= lease() || !this.#owns(running)) throw new SendRefused('RELEASED', 'the worker may no longer own the key')
    if (!this.#settings.isOpen(task.inbox, startable)) throw new SendRefused('RELEASED', 'the attempt has ended meanwhile')
    try {
      task.store.markSent(startable.attempt)
    } catch (error) {
      throw new NotDone(`it could not be noted that the attempt leaves: ${messageOf(error)}`, { cause: error })
    }
    here.left = true
  }

  #owns({ task, generation }: Running): boolean {
    return generation !== null && this.#settings.owned(task.inbox) === generation
  }

  /** A result that no log takes is none: what it was about may have happened. */
  async #result(running: Running, effect: EffectDefinition, { value, left }: { value: unknown; left: boolean }): Promise<void> {
    try {
      const records = this.#records(running, effect, value)
      await this.#append(records)
    } catch (error) {
      if (isA(error, AppendFailed) && !refused(error.cause)) throw error
      const why = isA(error, AppendFailed) ? error.cause : error
      this.#settings.onError(`the result of effect ${running.startable.effect} of ${running.definition.name} is none`, why)
      await this.#end(running, effect, left ? 'UNKNOWN' : 'NOT_DONE', `its result cannot be kept: ${messageOf(why)}`)
    }
  }

  /** @throws what is wrong with a result */
  #records({ startable, task }: Running, effect: EffectDefinition, value: unknown): Append[] {
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

  async #end(running: Running, effect: EffectDefinition | undefined, ended: EndedAs, reason: string): Promise<void> {
    const { startable, task, uncertain } = running
    const outcome = !uncertain ? ended : ended === 'RELEASED' && effect?.retry === 'idempotent' ? 'RETRY' : 'UNKNOWN'
    const { topic, partition } = task.inbox
    const { attempt, effect: name, key, start } = startable
    const record = { attempt, effect: name, start, outcome, reason: cut(reason) } as const
    await this.#append([{ topic, partition, key, value: this.#settings.codec.encode(topic, 'EffectEnded', record) }])
  }

  /**
   * What became of an attempt is appended until the log takes it: nothing else knows it.
   * @throws {AppendFailed} what no trying mends, and while draining what takes too long
   */
  async #append(records: readonly Append[]): Promise<void> {
    const { log, clock, onError } = this.#settings
    for (let backoff = 100; ; backoff = Math.min(backoff * 2, 5_000)) {
      try {
        await log.append(records)
        return
      } catch (error) {
        if (refused(error) || (isA(error, LogError) && error.code === 'closed')) throw new AppendFailed(error)
        onError('the result of an effect could not be appended; trying again', error)
        if (this.#draining && backoff > 1_000) throw new AppendFailed(error)
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

function refused(error: unknown): boolean {
  return isA(error, LogError) && REFUSALS.includes(error.code)
}

function runId({ attempt, start }: Startable): string {
  return `${attempt}#${start}`
}

function shown(time: number): string {
  return Number.isNaN(new Date(time).valueOf()) ? String(time) : new Date(time).toISOString()
}

/** How long a port asks to wait, where it says a time. */
function waitOf(ms: unknown): number | undefined {
  return typeof ms === 'number' && ms > 0 ? Math.min(ms, MAX_WAIT) : undefined
}

type EndedAs = 'EXPIRED' | 'RELEASED' | 'NOT_DONE' | 'UNKNOWN'

type Outcome =
  | { readonly type: 'result'; readonly value: unknown; readonly left: boolean }
  | { readonly type: 'ended'; readonly outcome: EndedAs; readonly reason: string }
  | { readonly type: 'again'; readonly reason: string; readonly retryAfterMs: number | undefined }
