import { crc32c } from '@node-rs/crc32'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Aborted, encodeBatch } from './batch.ts'
import { decodeBatches } from './testing/decode-batches.ts'

const where = { topic: 'venue.inbox', partition: 3 }
const TRANSACTIONAL = 16
const CONTROL = 32

/** What several producers do to one partition, in turns. Producer 0 has no transactions. */
const step = fc.record({ producer: fc.nat({ max: 4 }), size: fc.integer({ min: 1, max: 3 }), ends: fc.option(fc.boolean()) })

interface Written {
  readonly batch: Buffer
  readonly last: number
}

/** A partition, the aborted transactions that a broker lists for it, and which of its records have been committed. */
function partitionOf(steps: readonly { producer: number; size: number; ends: boolean | null }[]) {
  const batches: Written[] = []
  const open = new Map<number, number[]>()
  const aborted: (Aborted & { marker: number })[] = []
  const committed: number[] = []
  let next = 0
  const put = (batch: Buffer, count: number) => {
    batch.writeBigInt64BE(BigInt(next), 0)
    batches.push({ batch, last: next + count - 1 })
    next += count
  }
  const end = (producer: number, commit: boolean) => {
    const own = open.get(producer)
    if (own === undefined) return
    open.delete(producer)
    if (commit) committed.push(...own)
    else aborted.push({ producerId: BigInt(producer), firstOffset: own[0] as number, marker: next })
    put(marker(producer, commit), 1)
  }
  for (const { producer, size, ends } of steps) {
    const offsets = Array.from({ length: size }, (_, i) => next + i)
    // A key of four zero bytes is what the marker of an abort looks like.
    const list = offsets.map(offset => ({ key: offset % 2 === 0 ? '\0\0\0\0' : 'k', value: Buffer.from(`${offset}`) }))
    const transactional = producer > 0
    if (transactional) open.set(producer, [...(open.get(producer) ?? []), ...offsets])
    else committed.push(...offsets)
    put(encodeBatch(list, 0, { producerId: BigInt(producer), producerEpoch: 0, transactional }, 0, 'none'), size)
    if (ends !== null) end(producer, ends)
  }
  for (const producer of [...open.keys()]) end(producer, producer % 2 === 0)
  return { batches, aborted, committed: committed.sort((a, b) => a - b), next }
}

/** The control batch that ends a transaction. */
function marker(producer: number, commit: boolean): Buffer {
  const record = { key: commit ? '\0\0\0\x01' : '\0\0\0\0', value: Buffer.alloc(6) }
  const batch = encodeBatch([record], 0, { producerId: BigInt(producer), producerEpoch: 0, transactional: true }, 0, 'none')
  batch.writeInt16BE(TRANSACTIONAL | CONTROL, 21)
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return batch
}

test('aborted transactions are left out, and only they, however they overlap and in whatever order they are listed', () =>
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 25 }),
      fc.array(fc.nat(), { minLength: 30, maxLength: 30 }),
      fc.nat(),
      fc.nat(),
      (steps, shuffle, start, cut) => {
        const { batches, aborted, committed, next } = partitionOf(steps)
        // A broker answers from the batch on that holds the offset, with what was aborted there or later.
        const from = start % next
        const answered = batches.filter(b => b.last >= from)
        const bytes = Buffer.concat(answered.map(b => b.batch))
        const listed = aborted
          .filter(a => a.marker >= from)
          .map((a, i) => ({ a, by: shuffle[i] as number }))
          .sort((x, y) => x.by - y.by)
        const end = cut % (bytes.length + 1)
        const decoded = decodeBatches(
          where,
          bytes.subarray(0, end),
          from,
          listed.map(l => l.a),
        )
        expect(decoded.records.map(r => r.offset)).toEqual(committed.filter(o => o >= from && o < decoded.next))
        const whole = answered.findLast(b => reaches(answered, b) <= end)
        expect(decoded.next).toBe(whole === undefined ? from : whole.last + 1)
      },
    ),
    { numRuns: 300 },
  ))

/** Where a batch ends in the answer. */
function reaches(answered: readonly Written[], batch: Written): number {
  return answered.slice(0, answered.indexOf(batch) + 1).reduce((sum, b) => sum + b.batch.length, 0)
}
