/**
 * What an actor is: a definition of its inbox, its state, its pure handlers, its timers and its effects. The worker runs it; the
 * topology is derived from it.
 */
import type { EnvelopeCommand, RecordInputs, RecordName, Records } from '../schemas/types.ts'
import { ENGINE_RECORDS, type EngineRecord, type Topic } from '../topics/catalog.ts'

/** An effect: an action on an outside system, after the commit that recorded it; its result arrives on the actor's own inbox. */
export interface EffectDefinition<N extends RecordName = RecordName, R extends RecordName = RecordName> {
  readonly input: N
  /** Record type of the result, one of the inbox's. */
  readonly result: R
  /** `idempotent`: doing it twice has the effect of doing it once, so it is repeated after a crash. `never`: an uncertain attempt ends as UNKNOWN. */
  readonly retry: 'idempotent' | 'never'
  /** After this long (ms) an attempt without a result is uncertain. */
  readonly timeoutMs: number
  /**
   * Its port waits for its turn as long as that takes: `timeoutMs` counts from the send. When the worker stops, what waits is dropped
   * silently; the next owner finds it open and starts it again.
   */
  readonly waits?: true
}

/**
 * A look-up: a read-only question that the process answers from memory at once (an index, a table). The answer may differ a moment later,
 * so it is journaled with the record that asked, and a replay reads it there.
 */
export interface LookupDefinition<N extends RecordName = RecordName, R extends RecordName = RecordName> {
  readonly input: N
  /** Record type of the answer, one of the journal's. */
  readonly result: R
  /**
   * Not counted among what the handler numbers: with it and without it, what a record makes has the same ids, and a replay of records
   * from before it finds the other answers.
   */
  readonly unnumbered?: boolean
}

/** How an attempt ended without a result. */
export interface Ended<N extends RecordName = RecordName> {
  readonly attempt: string
  readonly effect: string
  /** UNKNOWN: it may or may not have happened. EXPIRED: past notAfter, not done. NOT_DONE: given up before anything was sent. */
  readonly outcome: 'UNKNOWN' | 'EXPIRED' | 'NOT_DONE'
  /** For people. */
  readonly reason: string
  /** The code that the port gave; null if it gave none, or the record is of an earlier version. */
  readonly code: string | null
  readonly input: Records[N]
}

type EffectMap = Readonly<Record<string, EffectDefinition>>
type LookupMap = Readonly<Record<string, LookupDefinition>>

/** By what an inbox recognises a repeated record. Outputs are exactly once without it; it is for what may be put out again on purpose. */
export interface RecordIdentity {
  readonly id: string
  /** The time that belongs to the id, ms since the epoch. */
  readonly at: number
}

/** What a handler may do, besides returning the next state. All of it is committed or dropped with the state, in one transaction. */
export interface Context<
  Emits extends Topic = Topic,
  Effects extends EffectMap = EffectMap,
  Lookups extends LookupMap = LookupMap,
> {
  /** Key of the actor. */
  readonly key: string
  /** Log time of the record, ms since the epoch; never runs backwards for a key. */
  readonly now: number
  /** The record's offset and headers. */
  readonly offset: number
  readonly headers: Readonly<Record<string, string>>
  /** For the result of an effect: its attempt. */
  readonly attempt: string | null
  /** Whether a result came after its attempt had already ended as UNKNOWN. */
  readonly late: boolean
  /** The record is older than anything deduplication remembers: show it to a person, do not act on it. */
  readonly possiblyDuplicate: boolean
  /** Outcomes of the newest commands to this actor, for its profile, with the present outcome of the command being handled. */
  readonly commands: readonly EnvelopeCommand[]
  /** A UUIDv5 of log identity, topic, partition, offset and count: the same at every replay. */
  id(): string
  emit<T extends Emits, N extends T['records'][number]>(
    topic: T,
    key: string,
    type: N,
    record: RecordInputs[N],
    identity?: RecordIdentity,
  ): void
  /** Deletes a key of a compacted topic: a record without a value. */
  remove(topic: Emits, key: string): void
  /** Asks the memory of this process. Null if there is no answer now: use an effect, or ask later. */
  lookup<L extends keyof Lookups & string>(
    lookup: L,
    input: RecordInputs[Lookups[L]['input']],
  ): Records[Lookups[L]['result']] | null
  /** Records an effect attempt and returns its id. It starts after the commit, one at a time per key. */
  perform<E extends keyof Effects & string>(
    effect: E,
    input: RecordInputs[Effects[E]['input']],
    options?: { notAfter?: number | undefined },
  ): string
  /** Takes back an attempt that has not started: its effect is never done, and nobody is told. False where it may have started. */
  withdraw(attempt: string): boolean
  /** Sets or moves a timer. `name` is a key of `timers`, with an argument after a colon where it needs one. */
  setTimer(name: string, at: number): void
  clearTimer(name: string): void
  /** Refuses the command being handled, with a code and words for people. Call it before `commands` goes into a profile. */
  refuse(code: string, detail?: string): void
}

export interface Timer {
  readonly name: string
  /** What follows the colon in the name, or ''. */
  readonly argument: string
  readonly dueAt: number
}

export interface ActorDefinition<
  I extends Topic = Topic,
  S extends RecordName = RecordName,
  FX extends EffectMap = EffectMap,
  E extends Topic = Topic,
  LU extends LookupMap = LookupMap,
> {
  readonly name: string
  readonly inbox: I
  /** Record type of the state. */
  readonly state: S
  /** One handler for every record type of the inbox. `null` for no state; returning `null` deletes it and its timers. */
  readonly on: {
    readonly [N in Exclude<I['records'][number], EngineRecord>]: (
      state: Records[S] | null,
      record: Records[N],
      context: Context<E, FX, LU>,
    ) => Records[S] | null
  }
  readonly timers?: Readonly<Record<string, (state: Records[S], timer: Timer, context: Context<E, FX, LU>) => Records[S] | null>>
  readonly effects?: FX
  readonly lookups?: LU
  /** Keeps the answers to look-ups, with the partitions and the retention of the inbox. */
  readonly journal?: Topic
  /**
   * Effects and timers that earlier code had: what is left of them in ledgers and timers is ended, with a dead letter. One that is neither
   * declared nor retired halts the task, because newer code may have made it.
   */
  readonly retired?: { readonly effects?: readonly string[]; readonly timers?: readonly string[] }
  /** Called when an attempt ends without a result. Without it the state stays as it is. */
  readonly ended?: (state: Records[S], ended: Ended, context: Context<E, FX, LU>) => Records[S] | null
  /** Topics it writes to. */
  readonly emits: readonly E[]
  /** It keeps nothing of its keys, and passes over deletions: see `forward`. */
  readonly stateless?: true
  readonly onPoison?: {
    readonly default?: 'skip' | 'park'
    readonly types?: Readonly<Partial<Record<string, 'skip' | 'park'>>>
    /** Called after a record was skipped or parked. If it throws, the state stays as it is. */
    readonly failed?: (
      state: Records[S] | null,
      failure: { type: string; cause: string },
      context: Context<E, FX, LU>,
    ) => Records[S] | null
  }
}

/** Longest name of an effect or a timer: it is part of many records. */
const MAX_NAME_CHARS = 200
/** Before it is sent an attempt may wait for several time-outs, and a Node timer can sleep for 24 days at most. */
const MAX_TIMEOUT_MS = 24 * 60 * 60 * 1000

/** Types an actor's definition, and checks what types cannot. @throws if it is not valid */
export function actor<
  I extends Topic,
  S extends RecordName,
  const FX extends EffectMap,
  E extends Topic,
  const LU extends LookupMap = Record<never, never>,
>(definition: ActorDefinition<I, S, FX, E, LU>): ActorDefinition<I, S, FX, E, LU> {
  const { name, inbox, on, journal } = definition
  const effects: EffectMap = definition.effects ?? {}
  const { timers = {}, retired = {} } = definition
  const wrong = (what: string) => {
    throw new Error(`actor "${name}": ${what}`)
  }
  for (const record of inbox.records) {
    if (!(record in on) && !(ENGINE_RECORDS as readonly string[]).includes(record))
      wrong(`no handler for ${record} of ${inbox.name}`)
  }
  for (const record of Object.keys(on)) {
    if (!(inbox.records as readonly string[]).includes(record)) wrong(`handles ${record}, which ${inbox.name} does not carry`)
  }
  for (const [effect, { result, timeoutMs }] of Object.entries(effects)) {
    if (!(inbox.records as readonly string[]).includes(result))
      wrong(`effect "${effect}" ends in ${result}, which ${inbox.name} does not carry`)
    if (!(timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS))
      wrong(`effect "${effect}" needs a timeoutMs above 0, ${MAX_TIMEOUT_MS} at most`)
  }
  const lookups: LookupMap = definition.lookups ?? {}
  for (const [lookup, { result }] of Object.entries(lookups)) {
    if (journal?.records.includes(result) !== true)
      wrong(`look-up "${lookup}" is answered with ${result}, which its journal does not carry`)
  }
  if (journal !== undefined && (journal.partitions !== inbox.partitions || journal.cleanup !== 'delete'))
    wrong(`its journal ${journal.name} must have as many partitions as ${inbox.name}, and must not be compacted`)
  for (const named of [...Object.keys(effects), ...Object.keys(timers), ...Object.keys(lookups)]) {
    if (named.length > MAX_NAME_CHARS || named.includes('\0'))
      wrong(`"${named}" is not a valid name: at most ${MAX_NAME_CHARS} characters are allowed, and no zero character`)
  }
  for (const timer of Object.keys(timers)) if (timer.includes(':')) wrong(`timer "${timer}" has a colon: an argument follows it`)
  for (const effect of retired.effects ?? []) if (effect in effects) wrong(`effect "${effect}" is both declared and retired`)
  for (const timer of retired.timers ?? []) if (timer in timers) wrong(`timer "${timer}" is both declared and retired`)
  return definition
}

/** What a port may ask of the worker while it runs an effect. */
export interface Run {
  readonly attempt: string
  readonly key: string
  readonly notAfter: number | null
  /** Aborted when the effect times out. */
  readonly signal: AbortSignal
  /**
   * Must be called at every try, after all queueing, right before the request is sent: checks `notAfter` and the lease, and marks the
   * attempt as sent. @throws {SendRefused}, which the port must not catch
   */
  beforeSend(): void
}

/** The attempt must not be sent now: it has expired, the lease has run out, or the worker is draining. */
export class SendRefused extends Error {
  readonly outcome: 'EXPIRED' | 'RELEASED'
  readonly code: string | null
  constructor(outcome: 'EXPIRED' | 'RELEASED', message: string, { code = null }: { code?: string | null } = {}) {
    super(message)
    this.name = 'SendRefused'
    this.outcome = outcome
    this.code = code
  }
}

/** Thrown by a port if what it tried has certainly not happened; the worker tries again later, within `notAfter`. */
export class NotDone extends Error {
  /** When to try again, ms from now; by default the worker's own back-off. */
  readonly retryAfterMs: number | undefined
  readonly code: string | null
  constructor(message: string, options?: ErrorOptions & { retryAfterMs?: number; code?: string | null }) {
    super(message, options)
    this.name = 'NotDone'
    this.retryAfterMs = options?.retryAfterMs
    this.code = options?.code ?? null
  }
}

/** Thrown by a port when what it tried may have happened, to tell the actor why by a code. */
export class MaybeDone extends Error {
  readonly code: string
  constructor(message: string, { code, ...options }: ErrorOptions & { code: string }) {
    super(message, options)
    this.name = 'MaybeDone'
    this.code = code
  }
}

/**
 * Performs an effect. Returns its result, in parts if it is larger than a record. A refusal by the outside system is a result, not an
 * error. Throws `NotDone` if it certainly did not happen; any other error after `beforeSend()` means that it may have.
 */
export type Port<N extends RecordName = RecordName, R extends RecordName = RecordName> = (
  input: Records[N],
  run: Run,
) => Promise<RecordInputs[R] | readonly RecordInputs[R][]>

/** The ports of an actor's effects. */
export type Ports<A extends { readonly effects?: EffectMap }> = {
  readonly [E in keyof NonNullable<A['effects']>]: Port<
    NonNullable<A['effects']>[E]['input'],
    NonNullable<A['effects']>[E]['result']
  >
}

/** Answers a look-up from memory, at once; null if it cannot. Must not change what it reads. */
export type Lookup<N extends RecordName = RecordName, R extends RecordName = RecordName> = (
  input: Records[N],
) => RecordInputs[R] | null

/** The functions that answer an actor's look-ups. */
export type Lookups<A extends { readonly lookups?: LookupMap }> = {
  readonly [L in keyof NonNullable<A['lookups']>]: Lookup<
    NonNullable<A['lookups']>[L]['input'],
    NonNullable<A['lookups']>[L]['result']
  >
}
