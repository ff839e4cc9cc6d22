/**
 * The serving store: every record of these topics as rows in Postgres, exactly once in effect. Each partition is read
 * without a group, and its position moves in the transaction of its rows by compare-and-set:
 *
 *   BEGIN · position = next WHERE position = the one read · rows · COMMIT
 *                  └ none updated: another process has it. Roll back, look again later.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import Bottleneck from 'bottleneck'
import pg from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { type Topic, topicNamed } from '../../topics/catalog.ts'
import { type Codec, CodecError, type Decoded } from '../../topics/codec.ts'
import { type Log, type LogRecord, type Position, partitionKey, type TopicPartition } from '../../topics/log.ts'
import { Batch } from './batch.ts'
import { PROJECTED, project, projectDeletion } from './project.ts'

/** Topics that this sink projects. */
export const postgresTopics: readonly Topic[] = [...PROJECTED.keys()].map(topicNamed)

export interface PostgresSink {
  status(): SinkStatus
  /** Next offset to read of every partition claimed so far. */
  positions(): Position[]
  /** Ends after the transactions that are under way. */
  close(): Promise<void>
}

export interface SinkStatus {
  /** Down while any partition cannot be read or written. */
  readonly status: 'up' | 'down'
  readonly detail: string
  /** Records that could not be read or do not fit a table: each is in the service's log, none is in Postgres. */
  readonly skipped: number
  /** Rows not written because the table had newer ones. */
  readonly stale: number
}

export interface PostgresSinkOptions {
  readonly log: Log
  readonly codec: Codec
  readonly pool: pg.Pool
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly topics?: readonly Topic[]
  /** Names the sink's positions. */
  readonly name?: string
}

/** Largest batch, in bytes of the log. What has come is written at once, so batches grow with the load alone. */
const BATCH_BYTES = 1024 * 1024
const READ_WAIT_MS = 1_000
/**
 * Time-outs below the session time-out of 30 s, so that nobody is waited for who has lost the partition. A commit need not reach
 * the disk before it counts: a machine that crashes loses rows and position together, and the log has them still.
 */
const LIMITS =
  "SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '15s'; SET LOCAL idle_in_transaction_session_timeout = '10s'"
const BACK_OFF_MS = { first: 100, most: 5_000 }
/** How long the one that lost a partition waits before it looks whether the other goes on. */
const STAND_BY_MS = 1_000

const STARTING = 'has not been claimed yet'

/** Another process moved the position. */
class OwnershipLost extends Error {}

/** A record that makes rows; null where it deletes some. */
interface Readable {
  readonly record: LogRecord
  readonly decoded: Decoded | null
}

export async function startPostgresSink(options: PostgresSinkOptions): Promise<PostgresSink> {
  const sink = new Sink(options)
  const ends = await Promise.all(
    (options.topics ?? postgresTopics).map(async t => ({ topic: t.name, of: await options.log.ends(t.name) })),
  )
  const running = ends.flatMap(({ topic, of }) => of.map(({ partition }) => sink.run({ topic, partition })))
  return {
    status: () => sink.status(),
    positions: () => sink.positions(),
    close: async () => {
      sink.close()
      await Promise.all(running)
    },
  }
}

class Sink {
  /** One transaction at a time, with a pause between two: what comes meanwhile makes the next one larger. */
  readonly #turns = new Bottleneck({ maxConcurrent: 1, minTime: 5 })
  readonly #options: PostgresSinkOptions
  readonly #name: string
  readonly #closing = new AbortController()
  readonly #closed: Promise<null>
  readonly #positions = new Map<string, Position>()
  /** Why a partition cannot go on, by partition. */
  readonly #troubles = new Map<string, string>()
  #skipped = 0
  #stale = 0

  constructor(options: PostgresSinkOptions) {
    this.#options = options
    this.#name = options.name ?? 'postgres'
    this.#closed = new Promise(resolve => this.#closing.signal.addEventListener('abort', () => resolve(null)))
  }

  close(): void {
    this.#closing.abort()
  }

  positions(): Position[] {
    return [...this.#positions.values()]
  }

  status(): SinkStatus {
    const [trouble] = this.#troubles
    return {
      status: trouble === undefined ? 'up' : 'down',
      detail: trouble === undefined ? '' : `${trouble[0]}: ${trouble[1]}`,
      skipped: this.#skipped,
      stale: this.#stale,
    }
  }

  /** Reads and writes one partition until the sink is closed; whatever fails is tried again, ever more slowly. */
  async run(partition: TopicPartition): Promise<void> {
    const key = partitionKey(partition)
    let failures = 0
    this.#troubles.set(key, STARTING)
    while (!this.#closing.signal.aborted) {
      try {
        await this.#follow(partition, () => {
          failures = 0
          const trouble = this.#troubles.get(key)
          this.#troubles.delete(key)
          if (trouble !== undefined && trouble !== STARTING)
            this.#options.logger.info({ partition: key }, 'the Postgres sink goes on')
        })
      } catch (error) {
        if (error instanceof OwnershipLost) {
          await this.#pause(STAND_BY_MS)
          continue
        }
        if ((this.#troubles.get(key) ?? STARTING) === STARTING) {
          this.#options.logger.warn({ partition: key, reason: messageOf(error) }, 'the Postgres sink waits')
        }
        this.#troubles.set(key, messageOf(error))
        await this.#pause(Math.min(BACK_OFF_MS.first * 2 ** failures++, BACK_OFF_MS.most))
      }
    }
  }

  /** Claims the partition's position and goes on from there. Returns when the sink is closed. */
  async #follow(partition: TopicPartition, goesOn: () => void): Promise<void> {
    const { log } = this.#options
    let { position, behind } = await this.#claim(partition)
    if (!behind) goesOn()
    for (;;) {
      this.#positions.set(partitionKey(partition), { ...partition, offset: position })
      const reading = log.read(partition, position, { maxBytes: BATCH_BYTES, wait: READ_WAIT_MS })
      const read = await Promise.race([reading, this.#closed])
      if (read === null) {
        reading.catch(() => {}) // nobody wants it any more
        return
      }
      if (read.next === position) continue
      position = await this.#turns.schedule(() => this.#advance(partition, position))
      goesOn()
    }
  }

  /** Takes what has come by the time it is this partition's turn: waiting for it makes the batches of a busy log. */
  async #advance(partition: TopicPartition, position: number): Promise<number> {
    const { log, codec } = this.#options
    const read = await log.read(partition, position, { maxBytes: BATCH_BYTES })
    await prepare(codec, read.records)
    await this.#writeAll(partition, position, read.next, this.#decode(read.records))
    return read.next
  }

  /** Where to read on, and whether there is anything to read. @throws when the log is not the one that Postgres was filled from. */
  async #claim(partition: TopicPartition): Promise<{ position: number; behind: boolean }> {
    const { pool, log, logger } = this.#options
    const where = [this.#name, partition.topic, partition.partition]
    await pool.query('INSERT INTO sink_positions VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING', where)
    const { rows } = await pool.query<{ position: string }>(
      'SELECT position FROM sink_positions WHERE sink = $1 AND topic = $2 AND partition = $3',
      where,
    )
    const position = Number(rows[0]?.position)
    const ends = (await log.ends(partition.topic)).find(end => end.partition === partition.partition)
    if (ends !== undefined && position > ends.high) {
      throw new Error(
        `position ${position} is beyond the log's end ${ends.high}: the database was filled from another log; ` +
          'give this log a database of its own',
      )
    }
    if (ends !== undefined && position < ends.low && position > 0) {
      logger.warn({ ...partition, position, low: ends.low }, 'records have left the log before they reached Postgres')
    }
    return { position, behind: ends !== undefined && position < ends.high }
  }

  /** The records that make rows. One that cannot be read is skipped. */
  #decode(records: readonly LogRecord[]): Readable[] {
    const { codec } = this.#options
    return records.flatMap(record => {
      const { topic, value } = record
      if (value === null) return { record, decoded: null }
      try {
        return PROJECTED.get(topic)?.includes(codec.typeOf(value)) ? { record, decoded: codec.decode(value) } : []
      } catch (error) {
        this.#skip(record, error)
        return []
      }
    })
  }

  /** Writes a batch; when a record of it does not fit a table, record by record, without that one. */
  async #writeAll(partition: TopicPartition, from: number, next: number, readable: readonly Readable[]): Promise<void> {
    try {
      await this.#write(partition, from, next, readable)
    } catch (error) {
      if (!isDataError(error)) throw error
      let position = from
      for (const one of readable) {
        const after = one.record.offset + 1
        await this.#write(partition, position, after, [one]).catch(async error => {
          if (!isDataError(error)) throw error
          this.#skip(one.record, error)
          await this.#write(partition, position, after, [])
        })
        position = after
      }
      if (position !== next) await this.#write(partition, position, next, [])
    }
  }

  async #write(partition: TopicPartition, from: number, next: number, readable: readonly Readable[]): Promise<void> {
    const batch = new Batch()
    for (const { record, decoded } of readable) {
      if (decoded === null) projectDeletion(batch, record)
      else project(batch, record, decoded)
    }
    const client = await this.#options.pool.connect()
    try {
      await client.query(`BEGIN; ${LIMITS}`)
      const { rowCount } = await client.query(
        'UPDATE sink_positions SET position = $1 WHERE sink = $2 AND topic = $3 AND partition = $4 AND position = $5',
        [next, this.#name, partition.topic, partition.partition, from],
      )
      if (rowCount !== 1) throw new OwnershipLost()
      const stale = await batch.write(client)
      await client.query('COMMIT')
      this.#stale += stale
      client.release()
    } catch (error) {
      const rolledBack = await client.query('ROLLBACK').then(
        () => true,
        () => false,
      )
      client.release(!rolledBack)
      throw error
    }
  }

  #skip({ topic, partition, offset }: LogRecord, error: unknown): void {
    this.#skipped++
    this.#options.logger.error({ topic, partition, offset, reason: messageOf(error) }, 'the Postgres sink skips a record')
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#closing.signal }).catch(() => {})
  }
}

/** Fetches the schemas of these records; one of an unknown schema keeps none of the others back. */
async function prepare(codec: Codec, records: readonly LogRecord[]): Promise<void> {
  try {
    await codec.prepare(records)
  } catch (error) {
    if (!(error instanceof CodecError)) throw error
    for (const record of records) {
      await codec.prepare([record]).catch(error => {
        if (!(error instanceof CodecError)) throw error
      })
    }
  }
}

/** SQLSTATE classes of what is wrong with the data itself: out of range, a constraint, larger than an index takes. */
function isDataError(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(22|23|54)/.test(error.code ?? '')
}
