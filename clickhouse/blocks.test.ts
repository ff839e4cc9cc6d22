import { expect, test } from 'vitest'
import { readBlocks, writeBlocks } from './blocks.ts'
import { cityHash128 } from './cityhash.ts'
import { compressLz4, decompressLz4 } from './lz4.ts'

const bytesOf = (n: number) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 7 + Math.floor(i / 256) + 3) & 255))

/** Made by github.com/go-faster/city v1.0.1, which ClickHouse's Go client uses: low half, high half. */
const HASHES: Readonly<Record<number, string>> = {
  0: '3df09dfc64c09a2b3cb540c392e51e29',
  1: '39379490ccb55d552af2b13064cd571f',
  3: '3108fa6b1da1698632301bf0c250612d',
  4: '2321e75aee8d6c41cea6b327f605358d',
  7: '9ef90f69597e95c74987956c9782ee8f',
  8: 'b6ad7c9a5953432f9f0e02109921888c',
  9: '5601ccf1e058519af8512fca28333fef',
  15: '5a8299d8ab8f2f478ea0a478a90d3277',
  16: '21e79cab7f9c2b79a35615c235313f7a',
  17: '0cd5bb13faea6e4c32bf719178f6bbfe',
  31: '6e4f70325ec27ffc9a23a7e9f0b515e0',
  32: '67cfab8404eec7e980cd3c27f5bd61ee',
  33: '094bbf1d5b6ddb6110572bd58efa7aaf',
  48: '1bae09b8435c660da281faacdbab77b6',
  64: 'd412d58ec1432aef5754630cbbd83214',
  100: 'e8ed256df7c36d775da4e59606ec0c52',
  127: '1f1c2a3c628299425d5820604b01deea',
  128: '11d00b10d6694d31108fb9e5b83fdff4',
  143: '201689145f2ebee2df56bd91c3fb4dd0',
  144: 'd639167b9b85767d07a10bf4573107c6',
  145: 'de654d669366fc2ad2f68f547b37d6f5',
  160: 'f6b778a5c179adfff27668b26f450ab4',
  200: '6bfc6588f8397554e3706db480814454',
  255: '217ad8cf08bbe4ca1a5bb4038d2f32ff',
  256: '86696dd596ccf44b9fd9b2b0b79abdae',
  271: '361968ccadb42100a02212351219ace9',
  272: '5dc617fe7b7d0889b54d5b580d65b597',
  300: '20552e0414eb73c3d5320b2b1187d853',
  1000: 'b18d66480b6538937618b75510185c5b',
  100000: '3995f6a64d62ad585b66443d1ea3ac97',
}

test('a checksum is that of CityHash 1.0.2, at every length that is reckoned in another way', () => {
  for (const [length, expected] of Object.entries(HASHES)) {
    const hash = cityHash128(bytesOf(Number(length)))
    const hex = (at: number) => hash.readBigUInt64LE(at).toString(16).padStart(16, '0')
    expect(hex(0) + hex(8), length).toBe(expected)
  }
})

const INPUTS = {
  nothing: Buffer.alloc(0),
  short: Buffer.from('abc'),
  'one letter': Buffer.alloc(100_000, 'x'),
  repeating: Buffer.from('a row that comes again\t1\n'.repeat(20_000)),
  counting: bytesOf(70_000),
  random: Buffer.from(Array.from({ length: 5_000 }, (_, i) => (Math.imul(i, 2654435761) >>> 24) & 255)),
}

test.each(Object.entries(INPUTS))('LZ4 gives back %s', (_name, input) => {
  const packed = compressLz4(input)
  expect(decompressLz4(packed, input.length).equals(input)).toBe(true)
  expect(packed.length).toBeLessThanOrEqual(input.length + Math.ceil(input.length / 255) + 16)
})

test('LZ4 makes small what repeats', () => {
  expect(compressLz4(INPUTS.repeating).length).toBeLessThan(INPUTS.repeating.length / 50)
})

test('a damaged LZ4 block is refused, wherever it is damaged', () => {
  const packed = compressLz4(INPUTS.repeating)
  for (const end of [1, 5, packed.length - 1]) expect(() => whole(packed.subarray(0, end))).toThrow()
  expect(() => decompressLz4(packed, 10)).toThrow('damaged')
  expect(() => decompressLz4(Buffer.from([0x00, 0x01, 0x00]), 100)).toThrow('damaged')

  function whole(block: Buffer) {
    if (decompressLz4(block, INPUTS.repeating.length).length !== INPUTS.repeating.length) throw new Error('short')
  }
})

test.each(['lz4', 'zstd', 'none'] as const)('blocks of %s are read back, and not when they are damaged or too large', method => {
  const input = Buffer.concat([INPUTS.repeating, bytesOf(2_000_000)])
  const blocks = [...writeBlocks(input, method)]
  expect(blocks).toHaveLength(3)
  const all = Buffer.concat(blocks)
  expect(readBlocks(all, input.length).equals(input)).toBe(true)
  expect(() => readBlocks(all, input.length - 1)).toThrow('more than')
  expect(() => readBlocks(all.subarray(0, -1), input.length)).toThrow('truncated')
  const damaged = Buffer.from(all)
  damaged[all.length - 1] = (damaged[all.length - 1] as number) ^ 1
  expect(() => readBlocks(damaged, input.length)).toThrow('checksum')
})
