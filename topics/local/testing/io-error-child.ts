/**
 * The process in which `io-error.test.ts` gives a log a failing device: it replaces the open file by /dev/null, which accepts every
 * write but cannot be synced, and cannot be read when it is open for writing only.
 */
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { defineTopic } from '../../catalog.ts'
import { type LogError, type Polled, partitionKey } from '../../log.ts'
import { openLocalLog } from '../log.ts'

export const topic = defineTopic('failing', 'key', [], { partitions: 2 })

export interface Result {
  /** The result of each step: `ok`, or the code of its error. */
  readonly steps: readonly string[]
  readonly closed: readonly string[]
}

/** Replaces the open file with this ending by a device that fails every later use of it. */
function replace(ending: string): void {
  const descriptor = readdirSync('/proc/self/fd')
    .map(Number)
    .find(fd => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).endsWith(ending)
      } catch {
        return false // the descriptor of the listing itself, closed by now
      }
    })
  if (descriptor === undefined) throw new Error(`no open file ends with ${ending}`)
  closeSync(descriptor)
  const device = openSync('/dev/null', 'w')
  if (device !== descriptor) throw new Error(`got descriptor ${device} instead of ${descriptor}`)
}

async function run(file: string, what: string): Promise<Result> {
  const closed: string[] = []
  const log = await openLocalLog({ file, topics: [topic], onClosed: error => closed.push(error.message) })
  const steps: string[] = []
  const step = async (work: () => Promise<unknown>) => {
    steps.push(
      await work().then(
        () => 'ok',
        (error: LogError) => error.code,
      ),
    )
  }
  const append = (bytes: number) => () => {
    const value = Buffer.alloc(bytes, 'x')
    return log.append([{ topic: topic.name, key: 'k', value, partition: 1 }])
  }
  if (what === 'sync of a commit') {
    await step(append(100))
    replace('log.db-wal')
    await step(append(100))
    await step(append(100))
  } else if (what === 'sync of a checkpoint') {
    const value = Buffer.alloc(400_000, 'x')
    await step(() => log.append(Array.from({ length: 12 }, () => ({ topic: topic.name, key: 'k', value, partition: 1 }))))
    replace('log.db-wal')
    // The checkpoint runs in the next turn.
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    await step(append(100))
  } else {
    await step(append(100))
    const membership = await log.join({
      group: 'g',
      topics: [topic.name],
      instance: 'i',
      revoked: async () => {},
      assigned: ({ partitions }) => steps.push(`${partitions.length} partitions`),
    })
    replace('log.db')
    await step(() => log.read({ topic: topic.name, partition: 0 }, 0))
    // Recent records are in memory.
    const { high } = (await log.ends(topic.name))[1] as { high: number }
    membership.start({ topic: topic.name, partition: 0, offset: 0 })
    membership.start({ topic: topic.name, partition: 1, offset: high - 1 })
    const seen: Polled[] = []
    while (seen.filter(({ error }) => error !== null).length < 3) seen.push(...(await membership.poll({ max: 10, wait: 1000 })))
    steps.push(...seen.map(range => `${partitionKey(range)} ${range.error?.code ?? range.records.length}`).toSorted())
  }
  return { steps, closed }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , file, what] = process.argv as [string, string, string, string]
  console.log(JSON.stringify(await run(file, what)))
  process.exit(0)
}
