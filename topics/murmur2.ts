/**
 * Kafka's default partitioner: murmur2 over the UTF-8 bytes of the key, sign bit cleared, modulo the partitions.
 * From org.apache.kafka.common.utils.Utils.murmur2 (Apache Kafka 4.1), seed 0x9747b28c.
 */
export function partitionOf(key: string | null, partitions: number): number {
  if (key === null) return 0
  const bytes = key.length * 3 <= scratch.length ? scratch.subarray(0, scratch.write(key)) : Buffer.from(key)
  return (murmur2(bytes) & 0x7fffffff) % partitions
}

const scratch = Buffer.allocUnsafe(1024)

export function murmur2(data: Buffer): number {
  const m = 0x5bd1e995
  const length = data.length
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
