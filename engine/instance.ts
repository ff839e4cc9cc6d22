/**
 * One actor in memory: its state and what the engine keeps beside it. Immutable: a step makes a new one, so that an overlay can be
 * dropped. It is stored as an `Envelope` record, the same in the changelog and in the state store.
 */
import type avro from 'avsc'
import { recordSchema } from '../schemas/index.ts'
import type { Envelope, EnvelopeCommand, EnvelopeDecision, EnvelopeParked, EnvelopeTimer, RecordName } from '../schemas/types.ts'
import { EMPTY_RING, type Ring, ringOf } from './dedup-ring.ts'
import { partOf, type WriterSchemas } from './writer-schemas.ts'

export interface Attempt {
  readonly attempt: string
  readonly effect: string
  /** `ENDED`: as UNKNOWN, kept so that a late result can be told from a first one. */
  readonly status: 'UNKNOWN' | 'WAITING' | 'STARTED' | 'ENDED'
  readonly notAfter: number | null
  /** How often it has been restarted; results of earlier starts no longer count. */
  readonly start: number
  /** An earlier start may have done it. */
  readonly uncertain: boolean
  readonly parts: number
  readonly owner: string
}

export interface Instance {
  readonly now: number
  /** A value of the actor's state record, or null. */
  readonly state: unknown
  readonly timers: readonly EnvelopeTimer[]
  readonly ledger: readonly Attempt[]
  readonly ring: Ring
  readonly parked: readonly EnvelopeParked[]
  readonly decisions: readonly EnvelopeDecision[]
  readonly commands: readonly EnvelopeCommand[]
}

const NONE: readonly never[] = []

export const NEW_INSTANCE: Instance = {
  now: 0,
  state: null,
  timers: NONE,
  ledger: NONE,
  ring: EMPTY_RING,
  parked: NONE,
  decisions: NONE,
  commands: NONE,
}

/** Largest state of an actor. */
export const MAX_STATE_BYTES = 16 * 1024

/**
 * A timer of the engine's own: when it is due, the ids of a key without a state are forgotten. Handlers do not see it; it exists only
 * while nothing but its ring keeps the key.
 */
export const FORGET = '\0forget'
/** The longest that providers redeliver a message: a key without a state remembers its ids for this time. */
export const REMEMBER_MS = 7 * 24 * 60 * 60 * 1000

/** Nothing worth keeping: no state, and nothing that a later record depends on. */
export function isEmpty(instance: Instance): boolean {
  const { state, timers, ledger, ring, parked } = instance
  return state === null && timers.length === 0 && ledger.length === 0 && ring.entries.length === 0 && parked.length === 0
}

/**
 * Raw Avro of a state; null if there is none.
 * @throws RangeError if it is too large, or Avro's error if it does not fit its schema
 */
export function encodeState(value: unknown, state: RecordName): Buffer | null {
  if (value === null) return null
  const bytes = encoded(recordSchema(state).type, value)
  if (bytes.length > MAX_STATE_BYTES) throw new RangeError(`state of ${bytes.length} bytes, ${MAX_STATE_BYTES} at most`)
  return Buffer.from(bytes)
}

let scratch = Buffer.allocUnsafe(64 * 1024)

/** Raw Avro, until the next call. */
function encoded(type: avro.Type, value: unknown): Buffer {
  let end = type.encode(value, scratch)
  if (end < 0) {
    scratch = Buffer.allocUnsafe((scratch.length - end) * 2)
    end = type.encode(value, scratch)
  }
  return scratch.subarray(0, end)
}

/**
 * An instance as the `Envelope` record, to be encoded before another is made.
 * @param bytes of its state, if they are known
 */
export function envelopeOf(instance: Instance, state: RecordName, bytes: Buffer | null = null): Envelope {
  const { fingerprint, type } = recordSchema(state)
  return {
    now: instance.now,
    fingerprint: instance.state === null ? null : fingerprint,
    state: instance.state === null ? null : (bytes ?? encoded(type, instance.state)),
    timers: instance.timers,
    ledger: instance.ledger,
    ring: instance.ring.entries,
    horizon: instance.ring.horizon,
    parked: instance.parked,
    decisions: instance.decisions,
    commands: instance.commands,
  } as Envelope
}

/** Raw Avro of an instance. */
export function encodeInstance(instance: Instance, state: RecordName): Buffer {
  return recordSchema('Envelope').type.toBuffer(envelopeOf(instance, state))
}

const INDEXED = partOf('Envelope', ['timers', 'ledger'])

/** The parts of an instance in raw Avro that the store indexes. */
export function decodeIndexed(bytes: Buffer, written: string, writerSchemas: WriterSchemas): Pick<Instance, 'timers' | 'ledger'> {
  return writerSchemas.decodePart(INDEXED, written, bytes)
}

/** The instance of raw Avro; `written` is the fingerprint of the Envelope schema that wrote it. */
export function decodeInstance(bytes: Buffer, written: string, state: RecordName, writerSchemas: WriterSchemas): Instance {
  const { fingerprint, state: raw, ring, horizon, ...rest } = writerSchemas.decode('Envelope', written, bytes)
  return {
    ...rest,
    state: raw === null ? null : writerSchemas.decode(state, fingerprint as string, raw),
    ring: ringOf(ring, horizon),
  }
}
