/** A record that could not be handled, as a record of dead.letters: cut where it would be larger than the log takes. */
import type { DeadLetterInput } from '../schemas/types.ts'
import { deadLetters } from '../topics/catalog.ts'
import type { Codec } from '../topics/codec.ts'
import { MAX_RECORD_BYTES } from '../topics/log.ts'
import { cut } from './errors.ts'
import { MAX_KEY_BYTES } from './size.ts'

export interface DeadLetterRecord {
  readonly topic: string
  readonly key: string
  readonly type: 'DeadLetter'
  readonly value: Buffer
}

/** Longest name of a record type, in characters: other writers may choose any. */
const MAX_TYPE = 200
/** What a text of a cut letter says besides, and longer lengths, bytes. */
const SLACK = 1_024

/**
 * The dead letter of a record. Of a value that does not fit it holds the beginning, of a key that no actor has as well; the cause
 * then says where the rest is.
 */
export function deadLetter(codec: Codec, letter: Omit<DeadLetterInput, 'bytes'>): DeadLetterRecord {
  const { topic, partition, offset, value } = letter
  const key = beginning(letter.key)
  const fields = { ...letter, key, recordType: cut(letter.recordType, MAX_TYPE), cause: cut(letter.cause) }
  const encode = (fitting: DeadLetterInput) => codec.encode(deadLetters.name, 'DeadLetter', fitting)
  const around = encode({ ...fields, value: Buffer.alloc(0) }).length + Buffer.byteLength(key) + SLACK
  const room = Math.min(value.length, Math.max(0, MAX_RECORD_BYTES - around))
  const lacks = [
    ...(room < value.length ? [`${room} of ${value.length} bytes`] : []),
    ...(key === letter.key ? [] : [`the beginning of a key of ${Buffer.byteLength(letter.key)} bytes`]),
  ]
  if (lacks.length === 0) return { topic: deadLetters.name, key, type: 'DeadLetter', value: encode(fields) }
  const cause = `${fields.cause} (here are only ${lacks.join(' and ')}: the rest is at ${topic}/${partition}/${offset})`
  const bytes = room < value.length ? value.length : -1
  const kept = encode({ ...fields, cause, value: value.subarray(0, room), bytes })
  return { topic: deadLetters.name, key, type: 'DeadLetter', value: kept }
}

/** As much of a key as a key may have, without half a character at its end. */
function beginning(key: string): string {
  const bytes = Buffer.from(key)
  if (bytes.length <= MAX_KEY_BYTES) return key
  let end = MAX_KEY_BYTES
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}
