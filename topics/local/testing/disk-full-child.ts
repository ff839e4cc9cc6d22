/**
 * The process that `database.test.ts` runs with little disk space: it appends until the log refuses, then prints how much was accepted and
 * what the errors were.
 */
import { pathToFileURL } from 'node:url'
import { defineTopic } from '../../catalog.ts'
import type { LogError } from '../../log.ts'
import { openLocalLog } from '../log.ts'

export const topic = defineTopic('full', 'key', [], { partitions: 2 })
/** Records of one append; their order in the partitions tells whether half of one was stored. */
export const TOGETHER = 10

export interface Result {
  readonly taken: number
  readonly refused: readonly string[]
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const log = await openLocalLog({ file: process.argv[2] as string, topics: [topic] })
  const value = Buffer.alloc(20_000, 'x')
  const refused: string[] = []
  let taken = 0
  while (refused.length < 5) {
    const records = Array.from({ length: TOGETHER }, (_, i) => ({ topic: topic.name, key: `${taken}`, value, partition: i % 2 }))
    try {
      await log.append(records)
      taken++
    } catch (error) {
      refused.push((error as LogError).code)
    }
  }
  console.log(JSON.stringify({ taken, refused } satisfies Result))
}
