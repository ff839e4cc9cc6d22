import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isDeeper } from './json.ts'

test('depth counts arrays and objects, not brackets in strings', () => {
  const nested = (depth: number) => `${'[{"a":'.repeat(depth / 2)}1${'}]'.repeat(depth / 2)}`
  expect([isDeeper(nested(64)), isDeeper(nested(66))]).toEqual([false, true])
  expect(isDeeper(`[${'[],'.repeat(500)}{}]`)).toBe(false)
  expect(isDeeper(JSON.stringify({ text: '[[{'.repeat(100), '\\"[': '\\' }))).toBe(false)
  expect(isDeeper('['.repeat(1_000_000))).toBe(true)
})

test('the depth of any JSON is that of its values', () => {
  const depthOf = (value: unknown): number =>
    value === null || typeof value !== 'object' ? 0 : 1 + Math.max(0, ...Object.values(value).map(depthOf))
  fc.assert(
    fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 5 }), (value, most) => {
      expect(isDeeper(JSON.stringify(value), most)).toBe(depthOf(value) > most)
    }),
  )
})
