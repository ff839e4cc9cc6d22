/**
 * A codec for topics whose records are bytes of another's layout: they are taken for the payload of a `TrialBytes`. They are
 * told from the engine's own records by the schema id, which is never 0 (raw records begin with a number below 2^24).
 */
import type { Topic } from '../../topics/catalog.ts'
import { Codec, type Decoded, type SchemaRegistry } from '../../topics/codec.ts'
import type { LogRecord } from '../../topics/log.ts'

export async function openRawCodec(registry: SchemaRegistry, topics: readonly Topic[]): Promise<Codec> {
  const codec = await Codec.open(registry, topics)
  const own = Object.create(codec) as Codec
  const methods: Partial<Codec> = {
    encode: (topic, name, value) =>
      name === 'TrialBytes' ? (value as { payload: Buffer }).payload : codec.encode(topic, name, value),
    decode: value => (isRaw(value) ? ({ type: 'TrialBytes', value: { payload: value } } as Decoded) : codec.decode(value)),
    typeOf: value => (isRaw(value) ? 'TrialBytes' : codec.typeOf(value)),
    wrap: (topic, name, bytes) => codec.wrap(topic, name, bytes),
    unwrap: value => codec.unwrap(value),
    schemaOf: value => codec.schemaOf(value),
    unprepared: records => (records.every(record => isRaw(record.value)) ? -1 : codec.unprepared(records.map(withoutRaw))),
    prepare: records => codec.prepare(records.filter(({ value }) => !isRaw(value))),
    prepareKnown: records => codec.prepareKnown(records.filter(({ value }) => !isRaw(value))),
  }
  return Object.assign(own, methods)
}

function withoutRaw(record: LogRecord): LogRecord {
  return isRaw(record.value) ? { ...record, value: null } : record
}

function isRaw(value: Buffer | null): boolean {
  return value !== null && (value[0] !== 0 || (value.length > 5 && value.readUInt32BE(1) === 0))
}
