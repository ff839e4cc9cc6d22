/**
 * The keyed workload: read-modify-write of a key's state, and one output.
 *
 *   input   sequence 8 · amount 4 at 8 · random bytes          (numbers big-endian)
 *   state   count 8 · sum 8 · ring of hashes of the inputs, 4 each
 *   output  the input, with the count at 8, the sum at 16, the hash at 24
 */

/** @param state null at first */
export function step(state: Buffer | null, input: Buffer, stateBytes: number): { next: Buffer; out: Buffer } {
  const next = state === null ? Buffer.alloc(stateBytes) : copyOf(state)
  const slots = (stateBytes - 16) / 4
  const mark = hash(input)
  const count = readLong(next, 0) + 1
  const sum = readLong(next, 8) + input.readUInt32BE(8)
  writeLong(next, count, 0)
  writeLong(next, sum, 8)
  next.writeInt32BE(mark, 16 + 4 * ((count - 1) % slots))
  const out = copyOf(input)
  writeLong(out, count, 8)
  writeLong(out, sum, 16)
  out.writeInt32BE(mark, 24)
  return { next, out }
}

function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafe(bytes.length)
  copy.set(bytes)
  return copy
}

/** FNV-1a over whole words. */
function hash(bytes: Buffer): number {
  let h = 0x811c9dc5 | 0
  for (let i = 0; i + 4 <= bytes.length; i += 4) h = Math.imul(h ^ bytes.readInt32BE(i), 0x01000193)
  return h
}

function readLong(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)
}

function writeLong(bytes: Buffer, n: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(n / 2 ** 32), at)
  bytes.writeUInt32BE(n >>> 0, at + 4)
}
