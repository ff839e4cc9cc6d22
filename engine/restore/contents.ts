/** Records of a changelog as contents of the local store. */
import { recordSchema } from '../../schemas/index.ts'
import type { Codec } from '../../topics/codec.ts'
import type { LogRecord } from '../../topics/log.ts'
import { Corrupted } from '../errors.ts'
import { decodeIndexed } from '../instance.ts'
import { type Change, decodeStored, encodeStored, type Indexed } from '../store.ts'
import type { WriterSchemas } from '../writer-schemas.ts'
import type { RestoreOptions } from './options.ts'

/**
 * The newest records of the keys as changes of the store, with the instances that its indexes need.
 * @param fresh takes the texts of schemas that are met for the first time
 * @param indexed what earlier changes of this restore have indexed; null: it is looked up in the store
 */
export function contents(
  newest: Map<string, LogRecord>,
  options: RestoreOptions,
  fresh: Map<string, string>,
  indexed: Map<string, Indexed> | null,
) {
  const { codec, writerSchemas, task } = options
  const changes: Change[] = []
  const inputs = new Map<string, Buffer | null>()
  for (const [key, { value }] of newest) {
    const name = value === null ? null : codec.typeOf(value)
    if (name === 'LedgerInput' || (value === null && key.includes('\0'))) {
      inputs.set(key, value === null ? null : storedForm(codec, writerSchemas, fresh, value))
      continue
    }
    if (value !== null && name !== 'Envelope')
      throw new Corrupted('damaged', `${task.changelog.topic} holds a ${name} under key "${key}"`)
    const bytes = value === null ? null : storedForm(codec, writerSchemas, fresh, value)
    const before = indexed === null ? indexedOf(task.store.get(key), writerSchemas) : (indexed.get(key) ?? null)
    const after = indexedOf(bytes, writerSchemas)
    if (after !== null && (after.timers.length > 0 || after.ledger.length > 0)) indexed?.set(key, after)
    else indexed?.delete(key)
    changes.push({ key, before, after, bytes })
  }
  return { changes, inputs }
}

function storedForm(codec: Codec, writerSchemas: WriterSchemas, fresh: Map<string, string>, value: Buffer): Buffer {
  const { fingerprint, raw, name } = codec.unwrap(value)
  if (fingerprint !== recordSchema(name).fingerprint && !fresh.has(fingerprint))
    learn(writerSchemas, fresh, codec.schemaOf(value))
  return encodeStored(fingerprint, raw)
}

function indexedOf(bytes: Buffer | null, writerSchemas: WriterSchemas): Indexed | null {
  if (bytes === null) return null
  const { fingerprint, raw } = decodeStored(bytes)
  return decodeIndexed(raw, fingerprint, writerSchemas)
}

/** Makes a schema known, and puts its text into `into` by its fingerprint. */
export function learn(writerSchemas: WriterSchemas, into: Map<string, string>, text: string): void {
  into.set(writerSchemas.add(text), text)
}
