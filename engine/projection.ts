/**
 * A projection: all records of a topic, read without a group from its beginning and followed from then on. What it builds
 * lives in memory and is built anew at each start, so its topic is a compacted one, or a short one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Topic } from '../topics/catalog.ts'
import { type Codec, CodecError, type Decoded } from '../topics/codec.ts'
import { type Log, LogError, type LogRecord } from '../topics/log.ts'

export interface Projection {
  /** Resolves once everything is in that the topic held at the start. */
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
  let closed = false

  async function follow(partition: number, reached: () => void): Promise<void> {
    const at = { topic: topic.name, partition }
    const end = (await log.ends(topic.name)).find(e => e.partition === partition)?.high ?? 0
    if (end === 0) reached()
    for (let next = 0; !closed; ) {
      const read = await log.read(at, next, { wait: 1_000 })
      await codec.prepare(read.records)
      for (const record of read.records) {
        try {
          if (record.key !== null) apply(record.key, record.value === null ? null : codec.decode(record.value), record)
        } catch (error) {
          if (!(error instanceof CodecError)) throw error
          onError(error) // a record that this code cannot read is for a newer one
        }
      }
      next = read.next
      if (next >= end) reached()
    }
  }

  async function keepFollowing(partition: number, reached: () => void): Promise<void> {
    while (!closed) {
      try {
        await follow(partition, reached)
      } catch (error) {
        if (closed || (error instanceof LogError && error.code === 'closed')) return
        onError(error)
        await sleep(1_000)
      }
    }
  }

  const running: Promise<void>[] = []
  const reached = (async () => {
    const partitions = await log.ends(topic.name)
    await Promise.all(
      partitions.map(({ partition }) => new Promise<void>(resolve => running.push(keepFollowing(partition, resolve)))),
    )
  })()
  return {
    caughtUp: reached,
    close: async () => {
      closed = true
      await Promise.all(running)
    },
  }
}
