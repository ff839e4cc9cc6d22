/** Interceptors that replace a broker's answers: by errors, damage, a partition without a leader. */
import type { TopicPartition } from '../../topics/log.ts'
import type { Random } from '../simulation/scheduler.ts'
import type { Interceptor } from './proxy.ts'
import {
  describedParts,
  type FetchedPart,
  fetchedParts,
  producedParts,
  sentParts,
  withFetchError,
  withoutPart,
  withRecords,
  withRefusal,
} from './wire.ts'

export const NOT_LEADER = 6
export const LEADER_NOT_AVAILABLE = 5
export const NOT_ENOUGH_REPLICAS = 19
export const NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20
/** Newest error code of Kafka 4.1. */
const LAST_CODE = 133

/** Any error code of the protocol. */
export function anyCode(random: Random): number {
  const code = random.below(LAST_CODE + 1)
  return code === 0 ? -1 : code
}

/** Interceptors that count how often they have changed an answer. */
export interface CountedInterceptors {
  readonly interceptors: readonly Interceptor[]
  hits(): number
}

function isOf(part: TopicPartition, at: TopicPartition): boolean {
  return part.topic === at.topic && part.partition === at.partition
}

/** Changes one partition's part of answers to Fetch, at most this many times. */
function fetches(
  at: TopicPartition,
  times: number,
  wanted: (part: FetchedPart) => boolean,
  change: (answer: Buffer, part: FetchedPart) => Buffer | null,
  breaks = false,
): CountedInterceptors {
  let hits = 0
  const answer = (frame: Buffer, version: number) => {
    if (hits >= times) return frame
    const part = fetchedParts(frame, version).find(p => isOf(p, at) && wanted(p))
    if (part === undefined) return frame
    hits++
    return change(frame, part)
  }
  return { interceptors: [{ api: 'Fetch', answer, breaks }], hits: () => hits }
}

/** Answers fetches of a partition with an error. */
export function fetchError(at: TopicPartition, code: number, times: number): CountedInterceptors {
  return fetches(
    at,
    times,
    () => true,
    (answer, part) => withFetchError(answer, part, code),
  )
}

/** The checksum covers only what follows it: 17 crc · 21 attributes … records. */
const CHECKSUM = 17

/** Flips a bit in the fetched records of a partition: in any batch, in its checksum or what that covers. */
export function flippedBit(at: TopicPartition, times: number, random: Random): CountedInterceptors {
  return fetches(
    at,
    times,
    part => part.length > 0,
    (answer, part) => {
      const records = Buffer.from(answer.subarray(part.records + 4, part.records + 4 + part.length))
      const batches: [from: number, to: number][] = []
      for (let from = 0; from + 61 <= records.length; ) {
        const to = from + 12 + records.readInt32BE(from + 8)
        batches.push([from, Math.min(to, records.length)])
        from = to
      }
      const [from, to] = random.pick(batches)
      const place = from + CHECKSUM + random.below(to - from - CHECKSUM)
      records.writeUInt8(records.readUInt8(place) ^ (1 << random.below(8)), place)
      return withRecords(answer, part, records)
    },
  )
}

/** Truncates the records of a partition anywhere; a broker, too, may truncate the last batch. */
export function cutRecords(at: TopicPartition, times: number, random: Random): CountedInterceptors {
  return fetches(
    at,
    times,
    part => part.length > 0,
    (answer, part) => {
      const from = part.records + 4
      return withRecords(answer, part, answer.subarray(from, from + random.below(part.length)))
    },
  )
}

/** Ends the whole answer within this partition, although its frame claims that it is complete. */
export function cutAnswer(at: TopicPartition, times: number, random: Random): CountedInterceptors {
  return fetches(
    at,
    times,
    part => part.length > 0,
    (answer, part) => {
      const changed = Buffer.from(answer.subarray(0, part.records + random.below(4 + part.length)))
      changed.writeInt32BE(changed.length - 4, 0)
      return changed
    },
    true,
  )
}

/** Breaks the connection within an answer that has records of this partition. */
export function brokenOff(at: TopicPartition, times: number): CountedInterceptors {
  return fetches(
    at,
    times,
    part => part.length > 0,
    () => null,
    true,
  )
}

/** Refuses Produce requests of a partition. @param appended the broker has appended anyway, and says that it has not */
export function refusedProduce(at: TopicPartition, code: number, appended: boolean): CountedInterceptors {
  let hits = 0
  const interceptor: Interceptor = {
    api: 'Produce',
    request: (frame, version) => {
      const part = appended ? undefined : sentParts(frame, version).find(p => isOf(p, at))
      return part === undefined ? frame : withoutPart(frame, part)
    },
    answer: (frame, version, asked) => {
      if (!sentParts(asked, version).some(p => isOf(p, at))) return frame
      hits++
      const part = producedParts(frame, version).find(p => isOf(p, at))
      if (part === undefined) return withRefusal(frame, version, at, code)
      const changed = Buffer.from(frame)
      changed.writeInt16BE(code, part.error)
      changed.writeBigInt64BE(-1n, part.baseOffset)
      return changed
    },
  }
  return { interceptors: [interceptor], hits: () => hits }
}

/** A partition without a leader: nothing can be written or read. @param inMetadata metadata say so; otherwise they still name the old leader */
export function leaderless(at: TopicPartition, inMetadata: boolean): CountedInterceptors {
  const fetching = fetchError(at, NOT_LEADER, Number.POSITIVE_INFINITY)
  const producing = refusedProduce(at, NOT_LEADER, false)
  let hits = 0
  const describing: Interceptor = {
    api: 'Metadata',
    answer: (frame, version) => {
      const part = describedParts(frame, version).find(p => isOf(p, at))
      if (!inMetadata || part === undefined) return frame
      hits++
      const changed = Buffer.from(frame)
      changed.writeInt16BE(LEADER_NOT_AVAILABLE, part.error)
      changed.writeInt32BE(-1, part.leader)
      return changed
    },
  }
  return {
    interceptors: [...fetching.interceptors, ...producing.interceptors, describing],
    hits: () => fetching.hits() + producing.hits() + hits,
  }
}
