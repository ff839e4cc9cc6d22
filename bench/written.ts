/** What a service has written to its local log: records by topic, and transactions, as the positions of its tasks tell them. */
import { join } from 'node:path'
import { configFrom } from '../config.ts'
import { serviceTopics } from '../service/actors.ts'
import { Codec, type Decoded } from '../topics/codec.ts'
import { openLocalLog } from '../topics/local/log.ts'

export interface Written {
  /** By topic, those that were compacted away among them. */
  readonly records: ReadonlyMap<string, number>
  readonly transactions: number
}

/** Actors that share a worker with another, and so its transactions. */
const WORKER_OF: Readonly<Record<string, string>> = { venue: 'conversation', sheets: 'soundtrack' }

/** @param dataDir of a service that has ended. @param since log time, ms. @param each is told every record that there still is */
export async function writtenSince(dataDir: string, since: number, each: (record: Decoded) => void = () => {}): Promise<Written> {
  const topics = serviceTopics(configFrom({}))
  const log = await openLocalLog({ file: join(dataDir, 'log.sqlite'), topics })
  try {
    const codec = await Codec.open(log, topics)
    const records = new Map<string, number>()
    // All that a transaction writes has one time, and a worker has one transaction after the other.
    const transactions = new Set<string>()
    for (const { name } of topics) {
      const actor = /^(.*)\.changelog$/.exec(name)?.[1]
      let count = 0
      for (const { partition, low, high } of await log.ends(name)) {
        let before = low
        for (let next = low; next < high; ) {
          const read = await log.read({ topic: name, partition }, next)
          for (const { offset, timestamp, value } of read.records) {
            if (timestamp < since) before = offset + 1
            if (value === null) continue
            const record = codec.decode(value)
            each(record)
            if (timestamp >= since && actor !== undefined && record.type === 'TaskPosition')
              transactions.add(`${WORKER_OF[actor] ?? actor} ${timestamp}`)
          }
          if (read.next <= next) break
          next = read.next
        }
        count += high - before
      }
      records.set(name, count)
    }
    return { records, transactions: transactions.size }
  } finally {
    await log.close()
  }
}

/** Transactions and records a message, as a line. */
export function perMessage({ records, transactions }: Written, messages: number): string {
  const each = (n: number) => (n / messages).toFixed(2)
  const shown = [...records].filter(([, n]) => n > messages / 20)
  const [changelogs, others] = [true, false].map(of => shown.filter(([topic]) => topic.endsWith('.changelog') === of))
  const sum = (of: typeof shown = []) => each(of.reduce((total, [, n]) => total + n, 0))
  const list = (of: typeof shown = []) => of.map(([topic, n]) => `${topic} ${each(n)}`).join(', ')
  return `${each(transactions)} transactions; ${sum(others)} records (${list(others)}) and ${sum(changelogs)} of changelogs (${list(changelogs)})`
}
