/**
 * LZ4 blocks (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md): sequences of literals, each followed by a match, which says
 * how far back to copy from and how much.
 */

const MIN_MATCH = 4
/** The last match starts so far before the end, and the last literals are so many at least. */
const LAST_MATCH = 12
const LAST_LITERALS = 5
const FAR = 65_535
const HASH_BITS = 14

/** Greedy: takes the last place where four bytes were the same. */
export function compressLz4(input: Uint8Array): Buffer {
  const source = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  const output = Buffer.allocUnsafe(source.length + Math.ceil(source.length / 255) + 16)
  const seen = new Int32Array(1 << HASH_BITS).fill(-1)
  let [anchor, at, out] = [0, 0, 0]
  const end = source.length - LAST_MATCH
  while (at < end) {
    const word = source.readInt32LE(at)
    const slot = Math.imul(word, -1640531535) >>> (32 - HASH_BITS)
    const before = seen[slot] as number
    seen[slot] = at
    if (before < 0 || at - before > FAR || source.readInt32LE(before) !== word) {
      at += 1 + ((at - anchor) >> 6) // faster over what does not repeat
      continue
    }
    let length = MIN_MATCH
    const most = source.length - LAST_LITERALS - at
    while (length < most && source[before + length] === source[at + length]) length++
    out = writeSequence(source.subarray(anchor, at), length, at - before)
    at += length
    anchor = at
  }
  out = writeSequence(source.subarray(anchor), 0, 0)
  return output.subarray(0, out)

  /** @param length of the match; 0 where the block ends */
  function writeSequence(literals: Buffer, length: number, offset: number): number {
    const token = out++
    const match = length === 0 ? 0 : length - MIN_MATCH
    output[token] = (Math.min(literals.length, 15) << 4) | Math.min(match, 15)
    if (literals.length >= 15) writeLength(literals.length - 15)
    output.set(literals, out)
    out += literals.length
    if (length === 0) return out
    output.writeUInt16LE(offset, out)
    out += 2
    if (match >= 15) writeLength(match - 15)
    return out
  }

  function writeLength(left: number): void {
    let rest = left
    for (; rest >= 255; rest -= 255) output[out++] = 255
    output[out++] = rest
  }
}

/** @param size of what comes out @throws when it is no such block */
export function decompressLz4(input: Buffer, size: number): Buffer {
  const output = Buffer.alloc(size)
  let [at, out] = [0, 0]
  const length = (nibble: number): number => {
    let total = nibble
    if (nibble === 15) {
      let more: number | undefined
      do {
        more = input[at++]
        if (more === undefined) throw broken()
        total += more
      } while (more === 255)
    }
    return total
  }
  while (at < input.length) {
    const token = input[at++] as number
    const literals = length(token >> 4)
    if (literals > input.length - at || literals > size - out) throw broken()
    output.set(input.subarray(at, at + literals), out)
    at += literals
    out += literals
    if (at === input.length) break
    if (at + 2 > input.length) throw broken()
    const offset = input.readUInt16LE(at)
    at += 2
    const copied = length(token & 15) + MIN_MATCH
    if (offset === 0 || offset > out || copied > size - out) throw broken()
    for (const until = out + copied; out < until; out++) output[out] = output[out - offset] as number
  }
  return output.subarray(0, out)
}

function broken(): Error {
  return new Error('a compressed block is damaged')
}
