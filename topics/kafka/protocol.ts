/**
 * Requests that kafkajs has only in an older version, or implements too slowly: Produce v7 and v12 and Fetch v11 (record batches in one
 * pass), Metadata v10 (topic ids), OffsetFetch v7 (KIP-447: only stable offsets). Those of transactions are in `transaction-protocol.ts`.
 * Layouts: https://kafka.apache.org/protocol.
 */
import { LogError, type Position, type TopicPartition } from '../log.ts'
import { type Aborted, type Scanned, scanBatches } from './batch.ts'
import type { Call } from './hardening.ts'
import { byTopic, call, LARGE_BYTES, type Reader, Writer } from './wire.ts'

export interface ProduceBatch extends TopicPartition {
  readonly batch: Buffer
}

export interface ProduceResult extends TopicPartition {
  readonly errorCode: number
  readonly baseOffset: number
}

/** The newer version adds its partitions to the transaction by itself (KIP-890), and has compact fields. */
export type ProduceVersion = 7 | 12

/** One record batch per partition, acknowledged by all in-sync replicas. @param prefix of topics on the cluster */
export function produce(
  prefix: string,
  transactionalId: string | null,
  batches: readonly ProduceBatch[],
  timeoutMs: number,
  apiVersion: ProduceVersion = 7,
): Call<ProduceResult[]> {
  const size = batches.reduce((sum, { batch, topic }) => {
    return sum + (batch.length < LARGE_BYTES ? batch.length : 0) + (prefix.length + topic.length) * 3 + 18
  }, 64)
  const api = { apiKey: 0, apiVersion, apiName: 'Produce' }
  const flexible = apiVersion >= 9
  return call(api, () => produceBody(new Writer(size)), flexible ? producedFlexible : produced, timeoutMs + 5_000)

  function produceBody(w: Writer): Writer {
    if (!flexible) {
      w.text(transactionalId).int16(-1).int32(timeoutMs)
      return w.array(byTopic(batches), ({ topic, items }) => {
        w.text(prefix + topic).array(items, ({ partition, batch }) => w.int32(partition).int32(batch.length).bytes(batch))
      })
    }
    w.noTags().compactText(transactionalId).int16(-1).int32(timeoutMs)
    w.compactArray(byTopic(batches), ({ topic, items }) => {
      w.compactText(prefix + topic)
      w.compactArray(items, ({ partition, batch }) =>
        w
          .int32(partition)
          .uvarint(batch.length + 1)
          .bytes(batch),
      )
    })
    return w.noTags()
  }

  function produced(r: Reader): ProduceResult[] {
    const topics = r.array(() => {
      const topic = r.text().slice(prefix.length)
      return r.array(() => producedPart(r, topic))
    })
    return topics.flat()
  }

  function producedFlexible(r: Reader): ProduceResult[] {
    r.tags()
    const topics = r.compactArray(() => {
      const topic = r.compactText().slice(prefix.length)
      return r.compactArray(() => {
        const part = producedPart(r, topic)
        r.compactArray(() => r.int32() + r.compactText().length) // record errors
        r.compactText() // error message
        return part
      })
    })
    return topics.flat()
  }
}

function producedPart(r: Reader, topic: string): ProduceResult {
  const part = { topic, partition: r.int32(), errorCode: r.int16(), baseOffset: Number(r.int64()) }
  r.int64() // log append time
  r.int64() // log start offset
  return part
}

/** What a Fetch asks for: everything, or what has changed since the last request of a session (KIP-227). */
export interface FetchRequest {
  readonly session: number
  /** -1: no session. 0: starts one. */
  readonly epoch: number
  readonly wanted: readonly Position[]
  readonly forgotten: readonly TopicPartition[]
  /** Where a partition is read from, whether this request names it or an earlier one of the session. */
  offset(partition: TopicPartition): number
}

export interface FetchedPartition extends TopicPartition, Scanned {
  readonly errorCode: number
}

export interface FetchResponse {
  /** Concerns the session. */
  readonly errorCode: number
  /** 0 when the broker keeps no session. */
  readonly session: number
  /** In a session, only partitions that have something new. */
  readonly partitions: readonly FetchedPartition[]
}

/**
 * Fetches committed records, not yet decoded.
 * @param waitMs how long the broker waits for the first byte @param partitionBytes most per partition @param maxBytes most in total
 */
export function fetch(
  prefix: string,
  request: FetchRequest,
  waitMs: number,
  partitionBytes: number,
  maxBytes: number,
): Call<FetchResponse> {
  return call(
    { apiKey: 1, apiVersion: 11, apiName: 'Fetch' },
    () => {
      const { session, epoch, wanted, forgotten } = request
      const w = new Writer(64 + (wanted.length + forgotten.length) * 64)
      w.int32(-1).int32(waitMs).int32(1).int32(maxBytes).int8(1).int32(session).int32(epoch)
      w.array(byTopic(wanted), ({ topic, items }) => {
        w.text(prefix + topic).array(items, ({ partition, offset }) => {
          w.int32(partition).int32(-1).int64(offset).int64(-1).int32(partitionBytes)
        })
      })
      w.array(byTopic(forgotten), ({ topic, items }) => {
        w.text(prefix + topic).array(items, ({ partition }) => w.int32(partition))
      })
      return w.text('')
    },
    r => {
      r.int32() // throttle time
      const errorCode = r.int16()
      const session = r.int32()
      const partitions = r.array(() => {
        const topic = r.text().slice(prefix.length)
        return r.array((): FetchedPartition => {
          const partition = r.int32()
          const errorCode = r.int16()
          r.take(24) // high watermark, last stable offset, log start offset
          const aborted: Aborted[] = r.array(() => ({ producerId: r.int64(), firstOffset: Number(r.int64()) }))
          r.int32() // preferred replica
          const bytes = r.take(Math.max(0, r.int32()))
          const offset = request.offset({ topic, partition })
          // Damage in one partition does not hold up the others.
          let scanned = scanBatches({ topic, partition }, bytes, offset, aborted)
          if (bytes.length > 0 && scanned.bytes === 0 && scanned.damage === null) {
            // The first batch of an answer is never truncated.
            const damage = new LogError('corrupt', `${topic}/${partition}: the batch at offset ${offset} is truncated`)
            scanned = { ...scanned, damage }
          }
          return { topic, partition, errorCode, ...scanned }
        })
      })
      return { errorCode, session, partitions: partitions.flat() }
    },
    waitMs + 5_000,
  )
}

export interface TopicMetadata {
  readonly topic: string
  readonly errorCode: number
  /** As `kafka-topics.sh --describe` shows it; empty on a cluster without topic ids. */
  readonly id: string
  /** Node id of each partition's leader; negative while there is none. */
  readonly leaders: ReadonlyMap<number, number>
}

/** Metadata of topics, each with its own error code. @param topics named as on the cluster */
export function metadata(topics: readonly string[]): Call<TopicMetadata[]> {
  return call(
    { apiKey: 3, apiVersion: 10, apiName: 'Metadata' },
    () => {
      const w = new Writer(64 + topics.length * 64).noTags() // end of the request header
      w.compactArray(topics, topic => w.int64(0).int64(0).compactText(topic))
      return w.int8(0).int8(0).int8(0).noTags() // do not create topics, no authorized operations
    },
    r => {
      r.tags()
      r.int32() // throttle time
      r.compactArray(() => {
        r.int32()
        r.compactText()
        r.int32()
        r.compactText() // rack
      })
      r.compactText() // cluster id
      r.int32() // controller
      return r.compactArray((): TopicMetadata => {
        const errorCode = r.int16()
        const topic = r.compactText()
        const id = r.take(16)
        r.take(1) // internal
        const partitions = r.compactArray(() => {
          r.int16() // error code; without a leader the id below is negative
          const partition = r.int32()
          const leader = r.int32()
          r.int32() // epoch
          for (let i = 0; i < 3; i++) r.take(4 * Math.max(0, r.uvarint() - 1)) // replicas, in-sync replicas, offline replicas
          return [partition, leader] as const
        })
        r.int32() // authorized operations
        return {
          topic,
          errorCode,
          id: id.every(byte => byte === 0) ? '' : id.toString('base64url'),
          leaders: new Map(partitions),
        }
      })
    },
  )
}

export interface CommittedOffset extends TopicPartition {
  readonly errorCode: number
  /** -1 when none is committed. */
  readonly offset: number
}

/** Committed offsets of a group, by default of all its partitions. UNSTABLE_OFFSET_COMMIT: an open transaction holds one. */
export function offsetFetch(
  prefix: string,
  group: string,
  partitions: readonly TopicPartition[] | null,
  stable: boolean,
): Call<{ errorCode: number; offsets: CommittedOffset[] }> {
  return call(
    { apiKey: 9, apiVersion: 7, apiName: 'OffsetFetch' },
    () => {
      const w = new Writer().noTags().compactText(group)
      if (partitions === null) w.uvarint(0)
      else {
        w.compactArray(byTopic(partitions), ({ topic, items }) => {
          w.compactText(prefix + topic).uvarint(items.length + 1)
          for (const { partition } of items) w.int32(partition)
        })
      }
      return w.int8(stable ? 1 : 0).noTags()
    },
    r => {
      r.tags()
      r.int32() // throttle time
      const offsets = r.compactArray(() => {
        const topic = r.compactText().slice(prefix.length)
        return r.compactArray((): CommittedOffset => {
          const partition = r.int32()
          const offset = Number(r.int64())
          r.int32() // leader epoch
          r.compactText() // metadata
          return { topic, partition, offset, errorCode: r.int16() }
        })
      })
      return { offsets: offsets.flat(), errorCode: r.int16() }
    },
  )
}
