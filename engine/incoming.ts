/** A record of an inbox as the engine takes it: decoded, under a key that an actor can have. */
import { type Codec, CodecError, type Decoded } from '../topics/codec.ts'
import type { LogRecord } from '../topics/log.ts'
import { Fatal, messageOf } from './errors.ts'
import { wrongKey } from './size.ts'

/** `raw` is its wire format, kept for dead letters and parking. */
export interface Incoming {
  readonly key: string
  readonly offset: number
  readonly timestamp: number
  readonly headers: Readonly<Record<string, string>>
  readonly raw: Buffer
  readonly record: Decoded
}

/** What a record that cannot be decoded says of the code, not of the record. */
const NEEDS_OTHER_CODE: ReadonlySet<CodecError['code']> = new Set(['unknown_record', 'unknown_schema', 'incompatible'])

/**
 * Decodes a record, or says why no actor can have it: then it goes to the dead letters.
 * @throws {Fatal} when only other code can read it
 */
export function incoming(codec: Codec, record: LogRecord): Incoming | { readonly unreadable: string } {
  const { topic, partition, key, value, offset, timestamp, headers } = record
  if (key === null) return { unreadable: 'it has no key' }
  const wrong = wrongKey(key)
  if (wrong !== null) return { unreadable: wrong }
  if (value === null) return { unreadable: 'it has no value' }
  try {
    return { key, offset, timestamp, headers, raw: value, record: codec.decode(value) }
  } catch (error) {
    if (error instanceof CodecError && NEEDS_OTHER_CODE.has(error.code)) {
      throw new Fatal(error.code, `${topic}/${partition} offset ${offset}: ${error.message}`, { cause: error })
    }
    return { unreadable: messageOf(error) }
  }
}
