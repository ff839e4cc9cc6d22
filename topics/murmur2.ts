/**
 * Kafka's default partitioner: murmur2 over the UTF-8 bytes of the key, sign bit cleared, modulo the partitions.
 * From org.apache.kafka.common.utils.Utils.murmur2 (Apache Kafka 4.1), seed 0x9747b28c.
 */
export function partitionOf(key: string | null, partitions: number): number {
  if (key === null) return 0
  return (murmur2(bytesOf(key), written) & 0x7fffffff) % partitions
}

const scratch = Buffer.allocUnsafe(1024)
let written = 0

/** The bytes of a key: the first `written` bytes of the result. Short ASCII is copied here, which is cheaper than a call. */
function bytesOf(key: string): Buffer {
  if (key.length <= SHORT) {
    written = key.length
    for (let i = 0; i < written; i++) {
      const code = key.charCodeAt(i)
      if (code >= 0x80) break
      scratch[i] = code
      if (i === written - 1) return scratch
    }
  }
  if (key.length * 3 <= scratch.length) {
    written = scratch.write(key)
    return scratch
  }
  const bytes = Buffer.from(key)
  written = bytes.length
  return bytes
}
const SHORT = 64

export function murmur2(data: Buffer, length = data.length): number {
  const m = 0x5bd1e995
  let h = 0x9747b28c ^ length
  let i = 0
  for (; i + 4 <= length; i += 4) {
    let k = data.readInt32LE(i)
    k = Math.imul(k, m)
    k ^= k >>> 24
    k = Math.imul(k, m)
    h = Math.imul(h, m)
    h ^= k
  }
  const rest = length - i
  if (rest === 3) h ^= (data[i + 2] as number) << 16
  if (rest >= 2) h ^= (data[i + 1] as number) << 8
  if (rest >= 1) {
    h ^= data[i] as number
    h = Math.imul(h, m)
  }
  h ^= h >>> 13
  h = Math.imul(h, m)
  h ^= h >>> 15
  return h
}
