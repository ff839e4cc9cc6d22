/** What lies in the log and in Postgres once the torture has ended. */
import type pg from 'pg'
import { decodeInstance } from '../../engine/instance.ts'
import { WriterSchemas } from '../../engine/writer-schemas.ts'
import { alerts } from '../../topics/catalog.ts'
import type { KafkaLog } from '../../topics/kafka/log.ts'
import { type LogRecord, partitionKey } from '../../topics/log.ts'
import type { Contents, Holder } from '../simulation/oracle.ts'
import { trialInbox } from '../simulation/trial.ts'
import { codec, GROUP, partitionsOf, topics } from './actor.ts'

/** What reading it takes. */
export type Readable = Pick<KafkaLog, 'read' | 'ends' | 'groupOffsets'>

export interface Everything extends Contents {
  count(topic: string): number
}

/**
 * Every committed record of every topic, as of one moment: timers go on firing while this reads, and what was handled between
 * two of its reads would look like an output lost.
 */
export async function contentsOf(log: Readable): Promise<Everything> {
  const inboxEnds = async () => JSON.stringify(await log.ends(trialInbox.name))
  for (;;) {
    const before = await inboxEnds()
    const contents = await readAll(log)
    if ((await inboxEnds()) === before) return contents
  }
}

/** The positions come first: whatever they have passed, its outputs are there. */
async function readAll(log: Readable): Promise<Everything> {
  const offsets = await log.groupOffsets(GROUP)
  const records = new Map<string, LogRecord[]>()
  for (const { name } of topics) {
    const read = async ({ partition, low, high }: { partition: number; low: number; high: number }) => {
      const at = { topic: name, partition }
      const all: LogRecord[] = []
      for (let next = low; next < high; ) {
        const read = await log.read(at, next, { wait: 5_000, maxBytes: 4 * 1024 * 1024 })
        all.push(...read.records)
        next = read.next
      }
      records.set(partitionKey(at), all)
    }
    await Promise.all((await log.ends(name)).map(read))
  }
  const now = Date.now()
  return {
    partitions: new Map(topics.map(t => [t.name, partitionsOf(t)])),
    all: at => records.get(partitionKey(at)) ?? [],
    committed: at => offsets.find(o => partitionKey(o) === partitionKey(at))?.offset,
    now: () => now,
    count: topic => [...records].filter(([key]) => key.startsWith(`${topic}/`)).reduce((sum, [, of]) => sum + of.length, 0),
  }
}

/** The states that the changelog holds. */
export function holderOf(contents: Contents): Holder {
  const writerSchemas = new WriterSchemas()
  return {
    task: at => {
      const states = new Map<string, unknown>()
      for (const { key, value } of contents.all({ topic: 'trial.changelog', partition: at.partition })) {
        if (key === null || key.includes('\0')) continue
        if (value === null) states.delete(key)
        else {
          const { fingerprint, raw } = codec.unwrap(value)
          states.set(key, decodeInstance(raw, fingerprint, 'TrialState', writerSchemas).state)
        }
      }
      return { state: 'RUNNING', position: contents.committed(at) ?? 0, peek: key => states.get(key) ?? null }
    },
  }
}

/** Each alert in the log is one row, and each row one alert. */
export async function rowsWrong(pool: pg.Pool, contents: Contents): Promise<string[]> {
  const { rows } = await pool.query<{ id: string; text: string }>('SELECT id, text FROM alerts')
  const inTable = new Map(rows.map(({ id, text }) => [id, text]))
  const wrong: string[] = []
  const seen = new Set<string>()
  for (const { value } of contents.all({ topic: alerts.name, partition: 0 })) {
    const record = value === null ? null : codec.decode(value)
    if (record?.type !== 'Alert') continue
    const { id, text } = record.value
    if (seen.has(id)) wrong.push(`alert ${id} is in the log twice`)
    seen.add(id)
    if (inTable.get(id) !== text) wrong.push(`alert ${id} is "${text}" in the log, "${inTable.get(id)}" in Postgres`)
  }
  if (inTable.size !== seen.size) wrong.push(`${inTable.size} rows of ${seen.size} alerts`)
  return wrong
}
