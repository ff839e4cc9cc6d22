import avro from 'avsc'
import { describe, expect, it } from 'vitest'
import { parse, recordSchema } from '../schemas/index.ts'
import type { RecordName } from '../schemas/types.ts'
import { allTopics, defineTopic } from './catalog.ts'
import { Codec, CodecError, MemoryRegistry } from './codec.ts'
import type { LogRecord } from './log.ts'

const inbox = defineTopic('test.inbox', 'key', ['TimerDue', 'TaskStop'])
const due = { name: 'idle:z1', dueAt: 1_750_000_000_000, version: '41:0' }

async function opened() {
  const registry = new MemoryRegistry()
  return { registry, codec: await Codec.open(registry, [inbox]) }
}

function logged(value: Buffer | null): LogRecord {
  return { topic: inbox.name, partition: 0, offset: 0, timestamp: 0, key: 'k', value, headers: {} }
}

/** A record written by other code: its schema, changed, and a value that fits the changed schema. */
async function foreign(registry: MemoryRegistry, name: RecordName, change: (schema: Schema) => void, value: unknown) {
  const schema = JSON.parse(recordSchema(name).text) as Schema
  change(schema)
  const text = JSON.stringify(schema)
  const id = await registry.register(`${inbox.name}-${name}`, text)
  const header = Buffer.alloc(5)
  header.writeUInt32BE(id, 1)
  return { text, value: Buffer.concat([header, avro.Type.forSchema(schema as avro.Schema).toBuffer(value)]) }
}

interface Schema {
  name: string
  fields: { name: string; type: unknown; default?: unknown }[]
}

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof CodecError) return error.code
    throw error
  }
  return 'no error'
}

describe('the codec', () => {
  it('reads what it wrote, with its type', async () => {
    const { codec } = await opened()
    const value = codec.encode('test.inbox', 'TimerDue', due)
    expect(codec.decode(value)).toEqual({ type: 'TimerDue', value: due })
    expect(codec.typeOf(value)).toBe('TimerDue')
  })

  it("writes Confluent's wire format: a zero, the schema's id in four bytes, Avro", async () => {
    const { codec, registry } = await opened()
    const value = codec.encode('test.inbox', 'TimerDue', due)
    const id = await registry.register('test.inbox-TimerDue', recordSchema('TimerDue').text)
    expect([...value.subarray(0, 5)]).toEqual([0, 0, 0, 0, id])
    expect(recordSchema('TimerDue').type.fromBuffer(value.subarray(5))).toEqual(due)
  })

  it('encodes records larger than its first buffer, each in separate bytes', async () => {
    const { codec } = await opened()
    const large = { ...due, name: 'x'.repeat(200_000) }
    const [first, second] = [codec.encode('test.inbox', 'TimerDue', large), codec.encode('test.inbox', 'TimerDue', due)]
    expect(codec.decode(first).value).toEqual(large)
    expect(codec.decode(second).value).toEqual(due)
  })

  it('gives each record separate bytes, however many and large they are, next to values that do not match', async () => {
    const { codec } = await opened()
    const written = Array.from({ length: 3_000 }, (_, i) => {
      const one = { ...due, name: `${i}`.padEnd((i * 7_919) % 1_000) + 'x'.repeat(i % 500 === 499 ? 300_000 : 0) }
      if (i % 100 === 0)
        expect(codeOf(() => codec.encode('test.inbox', 'TimerDue', { ...one, dueAt: 'soon' } as never))).toBe('invalid')
      const value = codec.encode('test.inbox', 'TimerDue', one)
      return { one, value: i % 2 === 0 ? value : codec.wrap('test.inbox', 'TimerDue', codec.unwrap(value).raw) }
    })
    for (const { one, value } of written) expect(codec.decode(value).value).toEqual(one)
  })

  it('refuses a type that the topic does not carry', async () => {
    const { codec } = await opened()
    expect(codeOf(() => codec.encode('test.inbox', 'LogIdentity', { id: 'x' }))).toBe('not_of_topic')
    expect(codeOf(() => codec.encode('other', 'TimerDue', due))).toBe('not_of_topic')
    expect(codeOf(() => codec.wrap('test.inbox', 'LogIdentity', Buffer.alloc(0)))).toBe('not_of_topic')
  })

  it('says which field of a value does not match its schema, and why', async () => {
    const { codec } = await opened()
    const wrong = { ...due, version: 7 } as unknown as typeof due
    expect(() => codec.encode('test.inbox', 'TimerDue', wrong)).toThrow('TimerDue does not match its schema: version is 7')
  })

  it('reads what newer code wrote with one more field, and older code with one less', async () => {
    const { codec, registry } = await opened()
    const newer = await foreign(
      registry,
      'TimerDue',
      schema => schema.fields.push({ name: 'more', type: 'string', default: '' }),
      { ...due, more: 'of it' },
    )
    const envelope = { now: 5, state: Buffer.from('state') }
    const changelog = defineTopic('test.changelog', 'key', ['Envelope'])
    await codec.add(changelog)
    const older = await foreign(
      registry,
      'Envelope',
      schema => {
        schema.fields = schema.fields.filter(({ name }) => name === 'now' || name === 'state')
      },
      envelope,
    )
    await codec.prepare([logged(newer.value), logged(older.value)])
    expect(codec.decode(newer.value)).toEqual({ type: 'TimerDue', value: due })
    expect(codec.decode(older.value)).toMatchObject({ type: 'Envelope', value: { ...envelope, timers: [], ledger: [] } })
  })

  it('knows the name of a type that only newer code has, and refuses to decode it', async () => {
    const { codec, registry } = await opened()
    const unheard = await foreign(
      registry,
      'TimerDue',
      schema => {
        schema.name = 'Unheard'
      },
      due,
    )
    expect(codeOf(() => codec.decode(unheard.value))).toBe('unknown_schema')
    await codec.prepare([logged(unheard.value)])
    expect(codec.typeOf(unheard.value)).toBe('Unheard')
    expect(codeOf(() => codec.decode(unheard.value))).toBe('unknown_record')
  })

  it('refuses bytes that are not a record, truncated or too long', async () => {
    const { codec } = await opened()
    const value = codec.encode('test.inbox', 'TimerDue', due)
    expect(codeOf(() => codec.decode(Buffer.from('{"json":1}')))).toBe('not_wire_format')
    expect(codeOf(() => codec.decode(Buffer.alloc(3)))).toBe('not_wire_format')
    expect(codeOf(() => codec.decode(value.subarray(0, value.length - 3)))).toBe('invalid')
    expect(codeOf(() => codec.decode(Buffer.concat([value, Buffer.alloc(2)])))).toBe('invalid')
  })

  it('prepares tombstones and foreign bytes without asking the registry', async () => {
    const { codec } = await opened()
    await codec.prepare([logged(null), logged(Buffer.from('text')), logged(Buffer.alloc(0))])
  })

  it('unwraps a record to its raw Avro with the fingerprint and text of its writer, and wraps it again', async () => {
    const { codec, registry } = await opened()
    const value = codec.encode('test.inbox', 'TimerDue', due)
    const { name, fingerprint, raw } = codec.unwrap(value)
    expect({ name, fingerprint }).toEqual({ name: 'TimerDue', fingerprint: recordSchema('TimerDue').fingerprint })
    expect(codec.wrap('test.inbox', 'TimerDue', raw)).toEqual(value)
    const newer = await foreign(
      registry,
      'TimerDue',
      schema => schema.fields.push({ name: 'more', type: 'string', default: '' }),
      { ...due, more: '' },
    )
    await codec.prepare([logged(newer.value)])
    expect(codec.unwrap(newer.value).fingerprint).toBe(parse(newer.text).fingerprint)
    expect(codec.schemaOf(newer.value)).toBe(newer.text)
  })

  it('has a schema for every record type of every topic', async () => {
    const codec = await Codec.open(new MemoryRegistry(), allTopics())
    for (const { name, records } of allTopics()) {
      for (const record of records) expect(codec.wrap(name, record, Buffer.alloc(0))[0]).toBe(0)
    }
  })
})
