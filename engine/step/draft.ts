/**
 * The instance of one key while a record is folded into it, with the outputs of the step. A failed handler is rolled back to its
 * savepoint; the engine's own bookkeeping before that stays.
 */
import type { EnvelopeTimer } from '../../schemas/types.ts'
import type { ActorDefinition } from '../actor.ts'
import { deadLetter } from '../dead-letter.ts'
import { cut } from '../errors.ts'
import { COMMAND } from '../headers.ts'
import type { Incoming } from '../incoming.ts'
import { type Attempt, FORGET, type Instance } from '../instance.ts'
import { historyThatFits, MAX_ID } from '../size.ts'
import type { Answer, Emit, Performed, Step, StepResult, TaskScope } from './step.ts'

const MAX_DECISIONS = 32
const MAX_COMMANDS = 32

export class Draft {
  readonly definition: ActorDefinition
  readonly before: Instance
  readonly task: TaskScope
  /** The record at hand: a redrive handles others, under the offset of its own. */
  incoming: Incoming
  readonly now: number
  state: unknown
  stateBytes: Buffer | null = null
  /** The actor's own timers. */
  timers: readonly EnvelopeTimer[]
  /** When the ids of a key without a state are forgotten. */
  forgetTimer: EnvelopeTimer | null
  ledger: readonly Attempt[]
  ring: Instance['ring']
  parked: Instance['parked']
  /** Waits behind the parked record that is being handled again. */
  behind: Instance['parked'] = []
  readonly emits: Emit[] = []
  readonly answers: Answer[] = []
  readonly performed: Performed[] = []
  readonly closed: string[] = []
  readonly started: string[] = []
  /** Ended because its effect or timer is retired; the actor is told once all else is done. */
  readonly retired: { readonly type: string; readonly cause: string }[] = []
  #decisions: Instance['decisions']
  #commands: Instance['commands']
  readonly #offset: number
  readonly #timersBefore: readonly EnvelopeTimer[]
  #count = 0

  constructor(definition: ActorDefinition, before: Instance, incoming: Incoming, task: TaskScope) {
    this.definition = definition
    this.before = before
    this.incoming = incoming
    this.task = task
    this.#offset = incoming.offset
    this.now = Math.max(incoming.timestamp, before.now)
    this.state = before.state
    this.forgetTimer = before.timers.find(t => t.name === FORGET) ?? null
    this.timers = this.forgetTimer === null ? before.timers : before.timers.filter(t => t.name !== FORGET)
    this.#timersBefore = this.timers
    this.ledger = before.ledger
    this.ring = before.ring
    this.parked = before.parked
    this.#decisions = before.decisions
    this.#commands = before.commands
  }

  get commands(): Instance['commands'] {
    return this.#commands
  }

  /** Offset of the step's record, and a count: unique within the partition, and the same at every replay. */
  version(): string {
    return `${this.#offset}.${this.#count++}`
  }

  /** What has to fit into one record beside the state. */
  kept(): Pick<Instance, 'timers' | 'ledger' | 'parked'> {
    const parked = this.behind.length === 0 ? this.parked : [...this.parked, ...this.behind]
    return { timers: this.timers, ledger: this.ledger, parked }
  }

  /** Returns a function that takes back what has happened since, except answers to look-ups: a replay asks again. */
  savepoint(): () => void {
    const { timers, ledger } = this
    // Records by the hundred thousand come through here: nothing is allocated that is not needed.
    const started = this.started.length === 0 ? null : [...this.started]
    const emits = this.emits.length
    const performed = this.performed.length
    const closed = this.closed.length
    const retired = this.retired.length
    return () => {
      this.emits.length = emits
      this.performed.length = performed
      this.started.splice(0, this.started.length, ...(started ?? []))
      this.closed.length = closed
      this.retired.length = retired
      this.timers = timers
      this.ledger = ledger
    }
  }

  /** A quarantine decision about a record. */
  decide(offset: number, decision: string): void {
    const { codeVersion } = this.task
    this.#decisions = [...this.#decisions, { offset, decision, codeVersion }].slice(-MAX_DECISIONS)
  }

  /** The outcome of the record at hand, if it is a command. */
  endCommand(outcome: string, reason: string, code: string | null = null): void {
    this.#commands = this.commandsWith(outcome, reason, code)
  }

  commandsWith(outcome: string, reason: string, code: string | null): Instance['commands'] {
    const id = this.incoming.headers[COMMAND]
    if (id === undefined || id.length > MAX_ID || this.#commands.some(c => c.id === id && c.outcome !== 'parked'))
      return this.#commands
    return [...this.#commands.filter(c => c.id !== id), { id, outcome, reason: cut(reason), code }].slice(-MAX_COMMANDS)
  }

  /** A dead letter about the record at hand. */
  deadLetter(letter: { recordType: string; value: Buffer; decision: 'SKIP' | 'PARK'; cause: string }): void {
    const { codec, topic, partition, codeVersion } = this.task
    const { key, offset } = this.incoming
    this.emits.push(deadLetter(codec, { ...letter, key, offset, topic, partition, codeVersion, at: this.now }))
  }

  finish(result: StepResult): Step {
    const changed = this.#changed(result)
    return {
      instance: changed ? this.#instance() : this.before,
      changed,
      stateBytes: this.stateBytes,
      emits: this.emits,
      answers: this.answers,
      performed: this.performed,
      closed: this.closed,
      started: this.started,
      result,
    }
  }

  #instance(): Instance {
    const { decisions, commands } = historyThatFits(this.kept(), { decisions: this.#decisions, commands: this.#commands })
    return {
      now: this.now,
      state: this.state,
      timers: this.forgetTimer === null ? this.timers : [...this.timers, this.forgetTimer],
      ledger: this.ledger,
      ring: this.ring,
      parked: this.parked,
      decisions,
      commands,
    }
  }

  /** A deferred timer must be looked at again, and outputs must be committed with the offset of the record that made them. */
  #changed(result: StepResult): boolean {
    const { state, timers, ledger, ring, parked, decisions, commands } = this.before
    const outputs = [this.emits, this.answers, this.performed, this.closed, this.started].some(list => list.length > 0)
    const forgetTimer = timers.find(t => t.name === FORGET) ?? null
    const same =
      this.state === state &&
      this.timers === this.#timersBefore &&
      this.forgetTimer === forgetTimer &&
      this.ledger === ledger &&
      this.ring === ring &&
      this.parked === parked &&
      this.#decisions === decisions &&
      this.#commands === commands
    return outputs || !same || result === 'deferred'
  }
}
