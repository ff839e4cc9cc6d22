/**
 * A projection: all records of a topic, read without a group from its beginning and followed from then on. It lives in memory and is
 * rebuilt at each start, so its topic must be compacted, or short.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Topic } from '../topics/catalog.ts'
import { type Codec, CodecError, type Decoded } from '../topics/codec.ts'
import { type Log, LogError, type LogRecord } from '../topics/log.ts'
import { Backoff } from './backoff.ts'

/** Pauses before a partition that could not be read is tried again. */
const PAUSE_MS = { first: 100, most: 10_000 }

export interface Projection {
  /** Resolves once everything that the topic held at the start has been applied. */
  readonly caughtUp: Promise<void>
  close(): Promise<void>
}

/** `apply` gets every record in the order of its partition; `null` stands for a deleted key. */
export function startProjection(options: {
  readonly log: Log
  readonly codec: Codec
  readonly topic: Topic
  readonly apply: (key: string, decoded: Decoded | null, record: LogRecord) => void
  readonly onError: (error: unknown) => void
}): Projection {
  const { log, codec, topic, apply, onError } = options
  const closing = new AbortController()
  const { signal } = closing

  /** From where it stands: what has been applied is not applied again. */
  async function follow(partition: number, reached: () => void): Promise<void> {
    const at = { topic: topic.name, partition }
    const backoff = new Backoff(PAUSE_MS.first, PAUSE_MS.most)
    let end: number | null = null
    for (let next = 0; !signal.aborted; ) {
      try {
        end ??= (await log.ends(topic.name)).find(e => e.partition === partition)?.high ?? 0
        if (next >= end) reached()
        const read = await log.read(at, next, { wait: 1_000 })
        await codec.prepareKnown(read.records)
        for (const record of read.records) {
          take(record)
          next = record.offset + 1
        }
        next = Math.max(next, read.next)
        backoff.reset()
      } catch (error) {
        if (signal.aborted || (error instanceof LogError && error.code === 'closed')) return
        onError(error)
        await sleep(backoff.next(), undefined, { signal }).catch(() => {}) // closed
      }
    }
  }

  function take(record: LogRecord): void {
    const { key, value } = record
    try {
      if (key !== null) apply(key, value === null ? null : codec.decode(value), record)
    } catch (error) {
      if (!(error instanceof CodecError)) throw error
      onError(error) // a record that this code cannot read is for a newer one
    }
  }

  const running: Promise<void>[] = []
  const reached = (async () => {
    const partitions = await log.ends(topic.name)
    await Promise.all(partitions.map(({ partition }) => new Promise<void>(resolve => running.push(follow(partition, resolve)))))
  })()
  return {
    caughtUp: reached,
    close: async () => {
      closing.abort()
      await Promise.all(running)
    },
  }
}
