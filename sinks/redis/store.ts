/**
 * Fills the cache from the log. Each key is written from one topic, so offsets serve as versions. In Redis, positions lie beside the
 * values and are moved after them by compare-and-set:
 *
 *   (a) check that positions are unchanged     otherwise another process owns them, or Redis was flushed: claim again
 *   (b) write values, unless a newer one is there
 *   (c) position = next WHERE position = from  otherwise as (a)
 *
 * What a process leaves unfinished is written again by the next one that claims. A process that stalls between (a) and (b) writes
 * older values, which the versions refuse, deletions included. Known gap: a value so late that the newer one, or the memory of its
 * deletion, has expired by its TTL; it stays until its own TTL or the next record.
 */
import type { Redis } from 'ioredis'
import { conversationProfiles, type Topic, venueProfiles } from '../../topics/catalog.ts'
import type { Decoded } from '../../topics/codec.ts'
import type { LogRecord, Position, TopicPartition } from '../../topics/log.ts'
import { conversationView, venueView } from '../../views/views.ts'
import { type RecordBatch, OwnershipLost, type Store } from '../store.ts'
import type { Entry, Kind } from '../../cache/cache.ts'
import { putAll, run } from '../../cache/redis.ts'

/** The topics whose records are cached. */
export const CACHED: readonly Topic[] = [venueProfiles, conversationProfiles]
const WANTED = new Set(['VenueProfile', 'ConversationProfile'])
/** Longer than the TTL of any value. */
const POSITION_MS = 30 * 24 * 60 * 60_000
/** Commands per round trip. */
const PIPELINE_SIZE = 1_000

/** @param redis its own connection, with a timeout long enough for a large batch */
export function redisStore(redis: Redis): Store {
  const positions = async (of: readonly TopicPartition[]) =>
    of.length === 0 ? [] : (await redis.mget(of.map(positionKey))).map(position => Number(position ?? 0))
  const moved = async (at: readonly Position[]) => {
    const now = await positions(at)
    return at.filter(({ offset }, n) => now[n] !== offset)
  }
  return {
    name: 'redis',
    topics: CACHED,
    wants: (_topic, type) => WANTED.has(type),
    claim: async partitions => (await positions(partitions)).map(position => ({ position })),
    check: moved,
    write: async batches => {
      const lost = await moved(batches.map(({ partition, from }) => ({ ...partition, offset: from })))
      if (lost.length > 0) throw new OwnershipLost(lost)
      const entries = newestOf(batches)
      for (let from = 0; from < entries.length; from += PIPELINE_SIZE) {
        const pipeline = redis.pipeline()
        putAll(pipeline, entries.slice(from, from + PIPELINE_SIZE))
        await run(pipeline)
      }
      const pipeline = redis.pipeline()
      for (const { partition, from, next } of batches) pipeline.movePosition(positionKey(partition), from, next, POSITION_MS)
      const done = await run(pipeline)
      const taken = batches.filter((_, n) => done[n] !== 1)
      if (taken.length > 0) throw new OwnershipLost(taken.map(({ partition }) => partition))
      return { stale: 0 }
    },
  }
}

function positionKey({ topic, partition }: TopicPartition): string {
  return `v1:sink:${topic}/${partition}`
}

/** The newest of each key. */
function newestOf(batches: readonly RecordBatch[]): Entry[] {
  const newest = new Map<string, Entry[]>()
  for (const { records } of batches) {
    for (const { record, decoded } of records) newest.set(`${record.topic} ${record.key}`, entriesOf(record, decoded))
  }
  return [...newest.values()].flat()
}

/** The cache entries that a record makes; also for the cache in this process, which a projection fills. */
export function entriesOf({ topic, key: id, offset: version }: LogRecord, decoded: Decoded | null): Entry[] {
  if (id === null) return []
  const entry = (kind: Kind, value: unknown): Entry => ({
    kind,
    id,
    version,
    json: value === null ? null : JSON.stringify(value),
  })
  if (topic === venueProfiles.name) {
    const view = decoded?.type === 'VenueProfile' ? venueView(decoded.value) : null
    return [entry('venue', view), entry('zones', view?.zones ?? null)]
  }
  return [entry('conversation', decoded?.type === 'ConversationProfile' ? conversationView(decoded.value) : null)]
}
