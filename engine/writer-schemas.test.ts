import avro from 'avsc'
import { describe, expect, it } from 'vitest'
import { recordSchema } from '../schemas/index.ts'
import { Corrupted } from './errors.ts'
import { encodeInstance, type Instance, NEW_INSTANCE } from './instance.ts'
import { partOf, WriterSchemas } from './writer-schemas.ts'
import { EMPTY } from './testing/trial-state.ts'

const instance: Instance = {
  ...NEW_INSTANCE,
  now: 7,
  state: { ...EMPTY, count: 3 },
  timers: [{ name: 'tick', at: 9, version: '1.0' }],
  ledger: [
    { attempt: 'a', effect: 'send', status: 'STARTED', notAfter: null, start: 0, uncertain: false, parts: 0, owner: 'me' },
  ],
  commands: [{ id: 'c', outcome: 'handled', reason: '', code: null }],
}
const part = partOf('Envelope', ['timers', 'ledger'])
const own = recordSchema('Envelope')

describe('a part of a record', () => {
  it('is its fields alone, as the whole has them', () => {
    const bytes = encodeInstance(instance, 'TrialState')
    const { timers, ledger } = new WriterSchemas().decode('Envelope', own.fingerprint, bytes)
    expect({ ...new WriterSchemas().decodePart(part, own.fingerprint, bytes) }).toEqual({ timers, ledger })
    expect(timers).toHaveLength(1)
  })

  it('is read of what another schema has written', () => {
    const schema = JSON.parse(own.text)
    schema.fields.unshift({ name: 'added', type: 'string', default: '', doc: 'Of another version.' })
    const writerSchemas = new WriterSchemas()
    const fingerprint = writerSchemas.add(JSON.stringify(schema))
    const whole = own.type.fromBuffer(encodeInstance(instance, 'TrialState'))
    const bytes = avro.Type.forSchema(schema).toBuffer({ ...whole, added: 'new' })
    expect(writerSchemas.decodePart(part, fingerprint, bytes).ledger).toMatchObject([{ attempt: 'a' }])
    expect(() => new WriterSchemas().decodePart(part, fingerprint, bytes)).toThrow(Corrupted)
  })

  it('is not read of bytes that are damaged elsewhere', () => {
    const bytes = encodeInstance(instance, 'TrialState')
    for (const damaged of [bytes.subarray(0, bytes.length - 1), Buffer.concat([bytes, Buffer.of(0)])]) {
      expect(() => new WriterSchemas().decodePart(part, own.fingerprint, damaged)).toThrow(
        expect.objectContaining({ name: 'Corrupted', code: 'damaged' }),
      )
    }
  })
})
