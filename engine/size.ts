/**
 * The one measure of size for all that the engine writes: key, value and headers of the final record, as the log counts them. What
 * does not fit is poison of the record that caused it, so that no transaction can fail for its size.
 */
import { recordSchema } from '../schemas/index.ts'
import type { EnvelopeCommand, EnvelopeDecision, EnvelopeParked, EnvelopeTimer, LedgerInput } from '../schemas/types.ts'
import { MAX_RECORD_BYTES } from '../topics/log.ts'
import { type Payload, payloadBytes } from '../topics/records.ts'
import { Poison } from './errors.ts'
import { type Attempt, type Instance, MAX_STATE_BYTES } from './instance.ts'
import { RING_BYTES } from './dedup-ring.ts'
import { inputKey } from './store.ts'

/** A key is part of other keys, those of a local store among them, which may have 1,978 bytes. */
export const MAX_KEY_BYTES = 1_024
/** With the key it is one in a local store. */
export const MAX_TIMER_NAME_BYTES = 512
/** Of a command's id, characters. */
export const MAX_ID = 500

/** @throws {Poison} `too_large` when no log takes this record */
export function checkSize(what: string, record: Payload): void {
  const bytes = payloadBytes(record)
  if (bytes > MAX_RECORD_BYTES) {
    throw new Poison('too_large', `${what} is ${bytes} bytes with its key and headers, ${MAX_RECORD_BYTES} at most`)
  }
}

/** Why a record of this key cannot be handled, or null. The changelog's own keys begin with, and inputs' keys hold, a zero. */
export function wrongKey(key: string): string | null {
  if (key.includes('\0')) return 'its key holds a zero character'
  // A character is three bytes at most.
  if (3 * key.length <= MAX_KEY_BYTES) return null
  const bytes = Buffer.byteLength(key)
  return bytes > MAX_KEY_BYTES ? `its key has ${bytes} bytes, ${MAX_KEY_BYTES} at most` : null
}

/** Bytes in front of the Avro in a record's value. */
const WIRE_HEADER = 5

/** @throws {Poison} `too_large` when the ledger's record of an input is one that no log takes */
export function checkInput(kept: LedgerInput): void {
  const { key, attempt, effect, fingerprint, input } = kept
  const around = 2 * (Buffer.byteLength(key) + Buffer.byteLength(attempt)) + Buffer.byteLength(effect) + fingerprint.length
  // Fits surely: five lengths, of five bytes at most.
  if (around + input.length + WIRE_HEADER + 32 <= MAX_RECORD_BYTES) return
  const value = Buffer.alloc(WIRE_HEADER + recordSchema('LedgerInput').type.toBuffer(kept).length)
  checkSize(`the input of "${effect}"`, { key: inputKey(key, attempt), value })
}

// Envelopes. What handlers and parking make of them is held below the limit by so much that the engine's own bookkeeping always fits.

/** Of a timer, an attempt or a parked record besides its texts and its value: numbers and lengths, at most. */
const TIMER_BYTES = 16
const ATTEMPT_BYTES = 32
const PARKED_BYTES = 48
/** Whoever starts an attempt anew puts another owner in. */
const OWNER_BYTES = 64
const HEADER_BYTES = 10
const HISTORY_ENTRY_BYTES = 24
/** Decisions and commands have at least so much; more where there is room. */
const LEAST_HISTORY = 8 * 1024
/** Of the record and its fixed fields. */
const FRAME = 256
const ROOM = MAX_RECORD_BYTES - MAX_KEY_BYTES - RING_BYTES - FRAME

type Kept = Pick<Instance, 'timers' | 'ledger' | 'parked'>
type History = Pick<Instance, 'decisions' | 'commands'>

/** The most that an instance's timers, attempts and parked records take in its envelope, bytes. */
export function keptBytes({ timers, ledger, parked }: Kept): number {
  let bytes = 0
  for (const timer of timers) bytes += timerBytes(timer)
  for (const attempt of ledger) bytes += attemptBytes(attempt)
  for (const parcel of parked) bytes += parcelBytes(parcel)
  return bytes
}

function timerBytes({ name, version }: EnvelopeTimer): number {
  return TIMER_BYTES + Buffer.byteLength(name) + version.length
}

function attemptBytes({ attempt, effect, owner }: Attempt): number {
  return ATTEMPT_BYTES + Buffer.byteLength(attempt) + Buffer.byteLength(effect) + Math.max(OWNER_BYTES, Buffer.byteLength(owner))
}

/** What a parked record takes, headers and all, bytes. */
export function parcelBytes({ type, value, headers }: EnvelopeParked): number {
  let bytes = PARKED_BYTES + type.length + value.length
  for (const [name, text] of Object.entries(headers)) bytes += HEADER_BYTES + Buffer.byteLength(name) + Buffer.byteLength(text)
  return bytes
}

/** So few and so small that nothing need be counted. */
const FEW_BYTES = 64 * 1024
const FEW_KEPT = 100

/** True where a state of any size and these always fit into an envelope, with what the engine notes beside them. */
export function keptFits(kept: Kept): boolean {
  if (kept.parked.length === 0 && kept.timers.length + kept.ledger.length <= FEW_KEPT) return true
  return keptBytes(kept) <= ROOM - MAX_STATE_BYTES - LEAST_HISTORY
}

/** The history as far as it fits beside the rest: the newest of it, and always the newest ones of each. */
export function historyThatFits<H extends History>(kept: Kept, history: H): History {
  const bytes = historyBytes(history)
  if (bytes <= LEAST_HISTORY) return history
  if (bytes <= FEW_BYTES && kept.parked.length === 0 && kept.timers.length + kept.ledger.length <= FEW_KEPT) return history
  let room = Math.max(LEAST_HISTORY, ROOM - MAX_STATE_BYTES - keptBytes(kept))
  const take = <T>(entries: readonly T[], size: (entry: T) => number): readonly T[] => {
    let first = entries.length
    while (first > 0 && room >= size(entries[first - 1] as T)) room -= size(entries[--first] as T)
    return first === 0 ? entries : entries.slice(first)
  }
  const decisions = take(history.decisions, decisionBytes)
  return { decisions, commands: take(history.commands, commandBytes) }
}

function historyBytes({ decisions, commands }: History): number {
  let bytes = 0
  for (const decision of decisions) bytes += decisionBytes(decision)
  for (const command of commands) bytes += commandBytes(command)
  return bytes
}

/** A character is three bytes at most. */
function decisionBytes({ decision, codeVersion }: EnvelopeDecision): number {
  return HISTORY_ENTRY_BYTES + 3 * (decision.length + codeVersion.length)
}

function commandBytes({ id, outcome, reason, code }: EnvelopeCommand): number {
  return HISTORY_ENTRY_BYTES + 3 * (id.length + outcome.length + reason.length + (code?.length ?? 0))
}
