/**
 * ClickHouse's own compression of a stream, as its clients ask for it with `compress=1` and send it with `decompress=1`: blocks of
 *
 *   checksum (16: CityHash128 of all that follows) │ method (1) │ size with this head of 9 (4) │ size unpacked (4) │ data
 *
 * Method 0x82 is an LZ4 block, 0x90 a Zstandard frame, 0x02 the bytes as they are.
 */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { cityHash128 } from './cityhash.ts'
import { compressLz4, decompressLz4 } from './lz4.ts'

const METHODS = { none: 0x02, lz4: 0x82, zstd: 0x90 } as const
export type Compression = keyof typeof METHODS
const CHECKSUM = 16
const HEAD = 9
/** Size of a block, uncompressed; ClickHouse's own is 1 MiB. */
const BLOCK = 1024 * 1024

/** A whole answer in blocks. An empty one has none. */
export function* writeBlocks(bytes: Uint8Array, method: Compression): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const part = bytes.subarray(at, at + BLOCK)
    const data = method === 'lz4' ? compressLz4(part) : method === 'zstd' ? zstdCompressSync(part) : part
    const block = Buffer.allocUnsafe(CHECKSUM + HEAD + data.length)
    block[CHECKSUM] = METHODS[method]
    block.writeUInt32LE(HEAD + data.length, CHECKSUM + 1)
    block.writeUInt32LE(part.length, CHECKSUM + 5)
    block.set(data, CHECKSUM + HEAD)
    cityHash128(block.subarray(CHECKSUM)).copy(block)
    yield block
  }
}

/** @throws if the blocks are invalid or damaged, or hold more than `most` bytes */
export function readBlocks(bytes: Buffer, most: number): Buffer {
  const parts: Buffer[] = []
  let total = 0
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < CHECKSUM + HEAD) throw new Error('a compressed block is truncated')
    const method = bytes[at + CHECKSUM]
    const size = bytes.readUInt32LE(at + CHECKSUM + 1)
    const unpacked = bytes.readUInt32LE(at + CHECKSUM + 5)
    if (size < HEAD || size > bytes.length - at - CHECKSUM) throw new Error('a compressed block is truncated')
    total += unpacked
    if (total > most) throw new Error(`it is more than ${most} bytes`)
    const body = bytes.subarray(at + CHECKSUM, at + CHECKSUM + size)
    if (!cityHash128(body).equals(bytes.subarray(at, at + CHECKSUM)))
      throw new Error('the checksum of a compressed block is wrong')
    parts.push(unpack(body.subarray(HEAD), method, unpacked))
    at += CHECKSUM + size
  }
  return Buffer.concat(parts)
}

function unpack(data: Buffer, method: number | undefined, size: number): Buffer {
  const plain =
    method === METHODS.lz4
      ? decompressLz4(data, size)
      : method === METHODS.zstd
        ? zstdDecompressSync(data, { maxOutputLength: Math.max(size, 1) })
        : method === METHODS.none
          ? data
          : null
  if (plain === null) throw new Error(`unknown compression method ${method}`)
  if (plain.length !== size) throw new Error('a compressed block has another size than it says')
  return plain
}
