/** What the proxy puts in the place of a broker's answers: errors, damage, a partition without a leader. */
import type { TopicPartition } from '../../topics/log.ts'
import type { Random } from '../simulation/scheduler.ts'
import type { Meddler } from './proxy.ts'
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

/** A meddler, and how often it has put something else into an answer. */
export interface Counted {
  readonly meddlers: readonly Meddler[]
  hits(): number
}

function isOf(part: TopicPartition, at: TopicPartition): boolean {
  return part.topic === at.topic && part.partition === at.partition
}

/** One partition's part of answers to Fetch, changed so many times at most. */
function fetches(
  at: TopicPartition,
  times: number,
  wanted: (part: FetchedPart) => boolean,
  change: (answer: Buffer, part: FetchedPart) => Buffer | null,
  breaks = false,
): Counted {
  let hits = 0
  const answer = (frame: Buffer, version: number) => {
    if (hits >= times) return frame
    const part = fetchedParts(frame, version).find(p => isOf(p, at) && wanted(p))
    if (part === undefined) return frame
    hits++
    return change(frame, part)
  }
  return { meddlers: [{ api: 'Fetch', answer, breaks }], hits: () => hits }
}

/** Fetches of a partition are answered by an error. */
export function fetchError(at: TopicPartition, code: number, times: number): Counted {
  return fetches(
    at,
    times,
    () => true,
    (answer, part) => withFetchError(answer, part, code),
  )
}

/** Only what lies behind it is covered by the checksum: 17 crc · 21 attributes … records. */
const CHECKSUM = 17

/** A bit of what is fetched of a partition is another: of any batch, of its checksum or what that covers. */
export function flippedBit(at: TopicPartition, times: number, random: Random): Counted {
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

/** Records of a partition end anywhere; a broker, too, may cut the last batch short. */
export function cutRecords(at: TopicPartition, times: number, random: Random): Counted {
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

/** The whole answer ends within this partition, though its frame says that it is complete. */
export function cutAnswer(at: TopicPartition, times: number, random: Random): Counted {
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

/** The connection breaks within an answer that holds records of this partition. */
export function brokenOff(at: TopicPartition, times: number): Counted {
  return fetches(
    at,
    times,
    part => part.length > 0,
    () => null,
    true,
  )
}

/** Produces to a partition are refused. @param appended the broker has appended all the same, and says that it has not */
export function refusedProduce(at: TopicPartition, code: number, appended: boolean): Counted {
  let hits = 0
  const meddler: Meddler = {
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
  return { meddlers: [meddler], hits: () => hits }
}

/** A partition has no leader: nobody takes or gives its records, and metadata say so or, for a while, name the former one still. */
export function leaderless(at: TopicPartition, told: boolean): Counted {
  const fetching = fetchError(at, NOT_LEADER, Number.POSITIVE_INFINITY)
  const producing = refusedProduce(at, NOT_LEADER, false)
  let hits = 0
  const describing: Meddler = {
    api: 'Metadata',
    answer: (frame, version) => {
      const part = describedParts(frame, version).find(p => isOf(p, at))
      if (!told || part === undefined) return frame
      hits++
      const changed = Buffer.from(frame)
      changed.writeInt16BE(LEADER_NOT_AVAILABLE, part.error)
      changed.writeInt32BE(-1, part.leader)
      return changed
    },
  }
  return {
    meddlers: [...fetching.meddlers, ...producing.meddlers, describing],
    hits: () => fetching.hits() + producing.hits() + hits,
  }
}
