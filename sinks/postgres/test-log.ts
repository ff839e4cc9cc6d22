/** A log in memory for tests of what reads and writes one: appends, reads that wait, ends. No groups, no transactions. */
import { once, setMaxListeners } from 'node:events'
import type { RecordInputs, RecordName } from '../../schemas/types.ts'
import { allTopics, topicNamed } from '../../topics/catalog.ts'
import { Codec, MemoryRegistry } from '../../topics/codec.ts'
import { type Append, type Ends, type Log, LogError, type LogRecord, type Position, type Read } from '../../topics/log.ts'
import { partitionOf } from '../../topics/murmur2.ts'

export class TestLog implements Log {
  readonly codec: Codec
  readonly #records = new Map<string, LogRecord[][]>()
  readonly #arrived = new EventTarget()
  /** While set, nothing is taken. */
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
    options?: { wait?: number },
  ): Promise<Read> {
    const list = this.#topic(topic)[partition] as LogRecord[]
    const waited = AbortSignal.timeout(options?.wait ?? 0)
    while (list.length <= from && !waited.aborted) {
      await once(this.#arrived, 'arrived', { signal: waited }).catch(() => {})
    }
    const records = list.slice(from)
    return { records, next: from + records.length }
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

  async join(): Promise<never> {
    throw new LogError('unavailable', 'the log of these tests has no groups')
  }

  async close(): Promise<void> {}

  #topic(name: string): LogRecord[][] {
    const made = this.#records.get(name) ?? Array.from({ length: topicNamed(name).partitions }, () => [])
    this.#records.set(name, made)
    return made
  }
}
