/** A partition read from one end to the other. */
import type { Log, LogRecord, TopicPartition } from '../topics/log.ts'

/** All records of a partition that are there now, from an offset on. */
export async function* pieces(log: Log, at: TopicPartition, from: number, to?: number): AsyncGenerator<LogRecord[]> {
  const ends = (await log.ends(at.topic)).find(e => e.partition === at.partition)
  const end = Math.min(ends?.high ?? 0, to ?? Number.POSITIVE_INFINITY)
  for (let next = Math.max(from, ends?.low ?? 0); next < end; ) {
    const read = await log.read(at, next, { maxBytes: 8 * 1024 * 1024, wait: 1_000 })
    yield read.records.filter(r => r.offset < end)
    next = read.next
  }
}
