import { describe, expect, test } from 'vitest'
import { murmur2, partitionOf } from './murmur2.ts'

describe('murmur2', () => {
  // The vectors of Kafka's own UtilsTest.testMurmur2.
  test.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('of %j is %i', (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash)
  })
})

describe('partitionOf', () => {
  test('is the hash without its sign, modulo the partitions', () => {
    expect(partitionOf('21', 6)).toBe((-973932308 & 0x7fffffff) % 6)
    expect(partitionOf('abc', 24)).toBe(479470107 % 24)
  })

  test('hashes the UTF-8 bytes of a key', () => {
    const bytes = Buffer.from('ร้านอาหาร')
    expect(partitionOf('ร้านอาหาร', 1000)).toBe((murmur2(bytes) & 0x7fffffff) % 1000)
  })

  test('spreads keys over all partitions', () => {
    const counts = new Array<number>(6).fill(0)
    for (let i = 0; i < 6000; i++) counts[partitionOf(`main:venue-${i}`, 6)]!++
    for (const count of counts) expect(count).toBeGreaterThan(800)
  })

  test('puts records without a key in the first partition', () => {
    expect(partitionOf(null, 6)).toBe(0)
  })
})
