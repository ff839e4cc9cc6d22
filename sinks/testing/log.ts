/** A log in memory: appends, reads that wait, ends, groups of one member. No transactions. */
import { once, setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RecordInputs, RecordName } from '../../schemas/types.ts'
import { allTopics, topicNamed } from '../../topics/catalog.ts'
import { Codec, MemoryRegistry } from '../../topics/codec.ts'
import {
  type Append,
  type Ends,
  type JoinOptions,
  type Log,
  LogError,
  type LogRecord,
  type Membership,
  type Position,
  type Read,
} from '../../topics/log.ts'
import { partitionOf } from '../../topics/murmur2.ts'

export class TestLog implements Log {
  readonly transactionBytes = 6 * 1024 * 1024
  readonly codec: Codec
  readonly #records = new Map<string, LogRecord[][]>()
  readonly #arrived = new EventTarget()
  /** While set, appends fail with it. */
  failing: LogError | null = null
  groupPositions: Record<string, Position[]> = {}

  private constructor(codec: Codec) {
    this.codec = codec
    setMaxListeners(0, this.#arrived)
  }

  static async open(): Promise<TestLog> {
    return new TestLog(await Codec.open(new MemoryRegistry(), allTopics()))
  }

  /** Appends one record of the catalog's and returns its offset. */
  async put<N extends RecordName>(topic: string, key: string, type: N, record: RecordInputs[N]): Promise<Position> {
    const [position] = await this.append([{ topic, key, value: this.codec.encode(topic, type, record) }])
    return position as Position
  }

  /** Everything in a topic, decoded. */
  content(topic: string) {
    return this.#topic(topic)
      .flat()
      .map(record => ({ ...record, ...this.codec.decode(record.value as Buffer) }))
  }

  async append(records: readonly Append[]): Promise<Position[]> {
    if (this.failing !== null) throw this.failing
    const positions = records.map(({ topic, key, value, headers = {}, partition: given }) => {
      const partitions = this.#topic(topic)
      const partition = given ?? partitionOf(key ?? '', partitions.length)
      const list = partitions[partition] as LogRecord[]
      list.push({ topic, partition, offset: list.length, timestamp: Date.now(), key, value, headers })
      return { topic, partition, offset: list.length - 1 }
    })
    this.#arrived.dispatchEvent(new Event('arrived'))
    return positions
  }

  async read(
    { topic, partition }: { topic: string; partition: number },
    from: number,
    options?: { wait?: number; maxBytes?: number },
  ): Promise<Read> {
    const list = this.#topic(topic)[partition] as LogRecord[]
    const waited = AbortSignal.timeout(options?.wait ?? 0)
    while (list.length <= from && !waited.aborted) {
      await once(this.#arrived, 'arrived', { signal: waited }).catch(() => {})
    }
    let end = from
    for (let bytes = 0; end < list.length && bytes < (options?.maxBytes ?? Number.POSITIVE_INFINITY); end++) {
      bytes += list[end]?.value?.length ?? 0
    }
    return { records: list.slice(from, end), next: Math.max(from, end) }
  }

  async topicId(topic: string): Promise<string> {
    return topic
  }

  async ends(topic: string): Promise<Ends[]> {
    return this.#topic(topic).map((list, partition) => ({ partition, low: 0, high: list.length }))
  }

  async groups(): Promise<string[]> {
    return Object.keys(this.groupPositions)
  }

  async groupOffsets(group: string): Promise<Position[]> {
    return this.groupPositions[group] ?? []
  }

  /** A member that owns every partition, and polls nothing. */
  async join({ group, topics, instance, assigned }: JoinOptions): Promise<Membership> {
    const partitions = topics.flatMap(topic => this.#topic(topic).map((_, partition) => ({ topic, partition })))
    assigned({ group, member: instance, generation: 1, partitions })
    const left = new AbortController()
    const none = () => {
      throw new LogError('unavailable', 'the log of these tests has no transactions')
    }
    return {
      exclusive: true,
      fence: async () => {},
      committed: async () => [],
      start: none,
      stop: () => {},
      poll: async ({ wait }) => {
        await sleep(wait, undefined, { signal: left.signal }).catch(() => {})
        return []
      },
      wake: () => left.abort(),
      begin: none,
      lease: () => Number.POSITIVE_INFINITY,
      leave: async () => left.abort(),
    }
  }

  async close(): Promise<void> {}

  #topic(name: string): LogRecord[][] {
    const made = this.#records.get(name) ?? Array.from({ length: topicNamed(name).partitions }, () => [])
    this.#records.set(name, made)
    return made
  }
}
