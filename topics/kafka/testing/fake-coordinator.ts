/**
 * The coordinator of one transactional id and of one group, in memory. It knows both protocols of transactions, and decodes the requests
 * that the driver implements itself.
 */
import { LogError } from '../../log.ts'
import { ErrorCode, KafkaError } from '../errors.ts'
import type { Broker, Transactional } from '../hardening.ts'
import { Reader, Writer } from '../wire.ts'

/** A transaction that has ended: the partitions it wrote to, as `topic/partition`, and the offsets of the group. */
export interface EndedTransaction {
  readonly commit: boolean
  readonly wrote: readonly string[]
  readonly offsets: Readonly<Record<string, number>>
}

const LAST_EPOCH = 32_767
const OFFSETS = 'offsets'
const HEADER = 14

export class FakeCoordinator {
  /** `transaction.version` of the cluster; null: brokers that are too old to report it. */
  version: number | null = 2
  producerId = 1n
  epoch = -1
  member = 'member'
  generation = 1
  /** How many requests of the next transaction arrive while the markers of an ended one are being written. */
  marking = 0
  /** How many answers of each kind get lost; their requests are carried out. */
  readonly losing = new Map<string, number>()
  /** The requests so far, with their version if there are several. */
  readonly asked: string[] = []
  readonly ended: EndedTransaction[] = []
  #open = false
  #marking = 0
  #wrote = new Set<string>()
  #offsets: Record<string, number> = {}
  #last: { producerId: bigint; epoch: number; commit: boolean } | null = null

  /** The requests that kafkajs implements. */
  readonly requests: Pick<Broker, 'initProducerId' | 'addPartitionsToTxn' | 'addOffsetsToTxn' | 'endTxn'> = {
    initProducerId: async () => {
      this.#ask('InitProducerId')
      if (this.#open) this.#end(false)
      this.#bump()
      this.#last = null
      this.#marking = 0
      return { producerId: this.producerId, producerEpoch: this.epoch }
    },
    addPartitionsToTxn: async ({ topics, ...id }) => {
      this.#ask('AddPartitionsToTxn')
      for (const { topic, partitions } of topics) for (const partition of partitions) pass(this.#add(id, `${topic}/${partition}`))
    },
    addOffsetsToTxn: async id => {
      this.#ask('AddOffsetsToTxn')
      pass(this.#add(id, OFFSETS))
    },
    endTxn: async ({ transactionResult, ...id }) => {
      this.#ask('EndTxn 1')
      pass(this.#ends(id, transactionResult, false))
      this.answers('EndTxn')
    },
  }

  /** The response to a request of the driver, both without size and correlation id. */
  answer(apiKey: number, apiVersion: number, raw: Buffer): Buffer {
    const made = apiKey === 18 ? this.#features() : this.#answered(apiKey, apiVersion, new Reader(raw))
    return bodyOf(made)
  }

  /** A batch of a transaction has arrived. @returns an error code; 0: it may be appended */
  produces(id: Pick<Transactional, 'producerId' | 'producerEpoch'>, part: string, apiVersion: number): number {
    const code = apiVersion >= 12 ? this.#add(id, part) : this.#wrote.has(part) ? this.#isOurs(id) : ErrorCode.INVALID_TXN_STATE
    return code === ErrorCode.PRODUCER_FENCED ? ErrorCode.INVALID_PRODUCER_EPOCH : code
  }

  /** The open transaction has timed out: it is aborted, and its producer fenced. */
  timeOut(): void {
    const { producerId, epoch } = this
    this.#end(false)
    this.#bump()
    this.#last = { producerId, epoch, commit: false }
  }

  #features(): Writer {
    this.#ask('ApiVersions')
    if (this.version === null) return new Writer().int16(35).int32(0)
    const { version } = this
    const levels = Object.entries({ 'metadata.version': 27, 'transaction.version': version })
    const finalized = new Writer()
    finalized.compactArray(levels, ([name, level]) => finalized.compactText(name).int16(level).int16(level))
    const field = bodyOf(finalized)
    const answer = new Writer().int16(0)
    answer.compactArray([0, 1, 18], api => answer.int16(api).int16(0).int16(3))
    answer.int32(0) // throttle time
    return answer.uvarint(2).uvarint(1).uvarint(8).int64(7).uvarint(2).uvarint(field.length).bytes(field)
  }

  #answered(apiKey: number, apiVersion: number, r: Reader): Writer {
    r.tags()
    const transactionalId = r.compactText()
    const group = apiKey === 28 ? r.compactText() : null
    const id = { transactionalId, producerId: r.int64(), producerEpoch: r.int16() }
    return group === null ? this.#endTxn(id, r) : this.#txnOffsetCommit(id, apiVersion, r)
  }

  #endTxn(id: Transactional, r: Reader): Writer {
    this.#ask('EndTxn 5')
    const errorCode = this.#ends(id, r.take(1)[0] === 1, true)
    this.answers('EndTxn')
    return new Writer().noTags().int32(0).int16(errorCode).int64(this.producerId).int16(this.epoch).noTags()
  }

  #txnOffsetCommit(id: Transactional, apiVersion: number, r: Reader): Writer {
    this.#ask(`TxnOffsetCommit ${apiVersion}`)
    const generation = r.int32()
    const member = r.compactText()
    r.compactText() // instance
    const wanted = r.compactArray(() => {
      const topic = r.compactText()
      return {
        topic,
        offsets: r.compactArray(() => {
          const at = { partition: r.int32(), offset: Number(r.int64()) }
          r.int32() // leader epoch
          r.compactText() // metadata
          return at
        }),
      }
    })
    let code =
      apiVersion >= 5 ? this.#add(id, OFFSETS) : this.#wrote.has(OFFSETS) ? this.#isOurs(id) : ErrorCode.INVALID_TXN_STATE
    if (code === 0 && member !== this.member) code = ErrorCode.UNKNOWN_MEMBER_ID
    if (code === 0 && generation !== this.generation) code = ErrorCode.ILLEGAL_GENERATION
    if (code === 0) {
      for (const { topic, offsets } of wanted)
        for (const { partition, offset } of offsets) this.#offsets[`${topic}/${partition}`] = offset
    }
    this.answers('TxnOffsetCommit')
    const answer = new Writer().noTags().int32(0)
    answer.compactArray(wanted, ({ topic, offsets }) => {
      answer.compactText(topic).compactArray(offsets, ({ partition }) => answer.int32(partition).int16(code))
    })
    return answer.noTags()
  }

  #isOurs({ producerId, producerEpoch }: Pick<Transactional, 'producerId' | 'producerEpoch'>): number {
    if (producerId !== this.producerId) return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    return producerEpoch === this.epoch ? 0 : ErrorCode.PRODUCER_FENCED
  }

  #add(id: Pick<Transactional, 'producerId' | 'producerEpoch'>, part: string): number {
    const code = this.#isOurs(id)
    if (code !== 0) return code
    if (this.#marking > 0) {
      this.#marking--
      return ErrorCode.CONCURRENT_TRANSACTIONS
    }
    this.#open = true
    this.#wrote.add(part)
    return 0
  }

  #ends({ producerId, producerEpoch }: Transactional, commit: boolean, bumps: boolean): number {
    const last = this.#last
    if (last !== null && last.producerId === producerId && last.epoch === producerEpoch && (bumps || !this.#open)) {
      if (last.commit !== commit) return ErrorCode.INVALID_TXN_STATE
      if (this.#marking === 0) return 0
      this.#marking--
      return ErrorCode.CONCURRENT_TRANSACTIONS
    }
    const code = this.#isOurs({ producerId, producerEpoch })
    if (code !== 0) return code
    if (!this.#open && commit) return ErrorCode.INVALID_TXN_STATE
    this.#last = { producerId, epoch: producerEpoch, commit }
    if (this.#open) this.#end(commit)
    if (bumps) this.#bump()
    return 0
  }

  #end(commit: boolean): void {
    this.ended.push({ commit, wrote: [...this.#wrote].filter(part => part !== OFFSETS), offsets: this.#offsets })
    this.#open = false
    this.#marking = this.marking
    this.#wrote = new Set()
    this.#offsets = {}
  }

  #bump(): void {
    this.epoch++
    if (this.epoch < LAST_EPOCH) return
    this.producerId++
    this.epoch = 0
  }

  #ask(request: string): void {
    this.asked.push(request)
  }

  /** Sends an answer, unless it is to get lost. */
  answers(request: string): void {
    const left = this.losing.get(request) ?? 0
    if (left === 0) return
    this.losing.set(request, left - 1)
    throw new LogError('unavailable', 'the connection was closed')
  }
}

function pass(code: number): void {
  if (code !== 0) throw new KafkaError(code)
}

function bodyOf(writer: Writer): Buffer {
  return Buffer.concat(writer.frame(0, 0, 0, '')).subarray(HEADER)
}
