/**
 * Requests of transactions that kafkajs lacks, or has only in an older version: TxnOffsetCommit v3 and v5 (KIP-447: member and
 * generation), EndTxn v5 (KIP-890: every transaction has its own epoch), and which of the two protocols a cluster uses.
 */
import type { Position } from '../log.ts'
import { ErrorCode, throwIfError } from './errors.ts'
import type { Call, Transactional } from './hardening.ts'
import { byTopic, call, Reader, Writer } from './wire.ts'

/**
 * The protocol of transactions. 2: Produce and TxnOffsetCommit add their partitions to the transaction, and EndTxn returns the epoch of
 * the next one (KIP-890, Kafka 4.0). 1: every partition and group is registered with the coordinator beforehand.
 */
export type TransactionVersion = 1 | 2

/** The member that commits offsets. */
export interface Member {
  readonly group: string
  readonly member: string
  readonly generation: number
}

/** Tag of a field in the response to ApiVersions. */
const FINALIZED_FEATURES = 2

/** The version that the whole cluster has finalized: all its brokers support it. */
export function transactionVersion(): Call<TransactionVersion> {
  return call(
    { apiKey: 18, apiVersion: 3, apiName: 'ApiVersions' },
    () => new Writer().noTags().compactText('bma-social').compactText('1').noTags(),
    // The response header has no tagged fields: the client does not know the broker's versions yet.
    r => {
      const errorCode = r.int16()
      // A broker before Kafka 2.4.
      if (errorCode === ErrorCode.UNSUPPORTED_VERSION) return 1
      throwIfError(errorCode)
      r.compactArray(() => r.take(6)) // API keys with their versions
      r.int32() // throttle time
      let version = 0
      for (let n = r.uvarint(); n > 0; n--) {
        const tag = r.uvarint()
        const field = new Reader(r.take(r.uvarint()))
        if (tag !== FINALIZED_FEATURES) continue
        field.compactArray(() => {
          const name = field.compactText()
          const newest = field.int16()
          field.int16() // oldest
          if (name === 'transaction.version') version = newest
        })
      }
      return version >= 2 ? 2 : 1
    },
  )
}

/** Commits offsets within a transaction, for a member of a generation; returns the error codes of the partitions. */
export function txnOffsetCommit(
  prefix: string,
  producer: Transactional,
  member: Member,
  offsets: readonly Position[],
  version: TransactionVersion = 1,
): Call<number[]> {
  return call(
    { apiKey: 28, apiVersion: version === 2 ? 5 : 3, apiName: 'TxnOffsetCommit' },
    () => {
      const w = new Writer().noTags() // end of the request header
      w.compactText(producer.transactionalId).compactText(member.group).int64(producer.producerId).int16(producer.producerEpoch)
      w.int32(member.generation).compactText(member.member).compactText(null)
      w.compactArray(byTopic(offsets), ({ topic, items }) => {
        w.compactText(prefix + topic).compactArray(items, ({ partition, offset }) => {
          w.int32(partition).int64(offset).int32(-1).compactText(null)
        })
      })
      return w.noTags()
    },
    r => {
      r.tags()
      r.int32() // throttle time
      const codes = r.compactArray(() => {
        r.compactText()
        return r.compactArray(() => {
          r.int32()
          return r.int16()
        })
      })
      return codes.flat()
    },
  )
}

export interface EndTxnResult {
  readonly errorCode: number
  /** For the next transaction; a new id once the epochs of the last have run out. */
  readonly producerId: bigint
  readonly producerEpoch: number
}

/** Commits or aborts. A repeated request gets the answer of the first one, once the markers are written. */
export function endTxn({ transactionalId, producerId, producerEpoch }: Transactional, commit: boolean): Call<EndTxnResult> {
  return call(
    { apiKey: 26, apiVersion: 5, apiName: 'EndTxn' },
    () => {
      const w = new Writer().noTags().compactText(transactionalId).int64(producerId).int16(producerEpoch)
      return w.int8(commit ? 1 : 0).noTags()
    },
    r => {
      r.tags()
      r.int32() // throttle time
      return { errorCode: r.int16(), producerId: r.int64(), producerEpoch: r.int16() }
    },
  )
}
