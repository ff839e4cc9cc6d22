import { expect, test } from 'vitest'
import type { AvroComplex } from '../schemas/files.ts'
import { recordSchema } from '../schemas/index.ts'
import { DELIVERY_STATUSES, deliveryRank, outranks } from './delivery-status.ts'

test('ranks every status that a record can have', () => {
  const { fields = [] } = JSON.parse(recordSchema('SendOutcome').text) as AvroComplex
  const symbols = fields.flatMap(({ name, type }) => (name === 'status' ? ((type as AvroComplex).symbols ?? []) : []))
  expect([...DELIVERY_STATUSES].sort()).toEqual(symbols.toSorted())
})

test('a status replaces those before it and no other, however it is written', () => {
  expect(outranks('DELIVERED', 'failed')).toBe(true)
  expect(outranks('read', 'DELIVERED')).toBe(true)
  expect(outranks('SENT', 'FAILED')).toBe(false)
  expect(outranks('read', 'READ')).toBe(false)
  expect(deliveryRank('queued')).toBe(0)
  expect(deliveryRank('something new')).toBe(0)
})
