/**
 * Restoring a task: its state is what its changelog says up to the high watermark. A trusted checkpoint of the local store
 * shortens that to the tail.
 */
import { recordSchema } from '../schemas/index.ts'
import type { Codec } from '../topics/codec.ts'
import { type Log, type LogRecord, partitionKey, type Position, type TopicPartition } from '../topics/log.ts'
import { Corrupted, Fatal } from './errors.ts'
import { decodeIndexed } from './instance.ts'
import type { SchemaBook } from './schemas.ts'
import { type Change, type Checkpoint, type Indexed, stored, unstored } from './store.ts'
import type { Task } from './task.ts'

/** Records written to the store at once, about. */
const RECORDS_A_WRITE = 20_000

/** Keys of a changelog that belong to the engine. */
export const reserved = {
  identity: '\0identity',
  position: '\0position',
  stop: '\0stop',
  inbox: '\0inbox',
  decision: '\0decision',
  schema: (fingerprint: string) => `\0schema:${fingerprint}`,
}

export interface RestoreOptions {
  readonly log: Log
  readonly codec: Codec
  readonly book: SchemaBook
  readonly task: Task
  /** The group's stable committed offset of the inbox partition, if there is one. */
  readonly committed: Position | undefined
  readonly wallClock: () => number
  /** Checkpoints older than this are not trusted, ms: half of the changelog's `delete.retention.ms`. */
  readonly maxCheckpointAge: number
  readonly newId: () => string
  /** Called between steps: throws when the assignment has moved on. */
  readonly still: () => void
}

/** Restores a task. @throws {Fatal} when records it needs are gone from the log; {Corrupted} when something stored is damaged. */
export async function restore(options: RestoreOptions): Promise<{ records: number; fromCheckpoint: boolean }> {
  const { log, codec, book, task, committed, still } = options
  const { store, changelog } = task
  const ends = (await log.ends(changelog.topic)).find(e => e.partition === changelog.partition) ?? { low: 0, high: 0 }
  still()
  const identity = await readIdentity(log, codec, changelog, ends.high)
  still()
  const checkpoint = trusted(store.checkpoint(), identity, ends.high, options)
  if (checkpoint === null) await store.wipe()
  const schemas = new Map<string, string>()
  for (const text of store.schemas()) learn(book, schemas, text)

  let at = checkpoint?.changelog ?? ends.low
  let position = checkpoint?.position ?? null
  let stop = checkpoint?.stop ?? null
  let logId = identity
  let records = 0
  // A store that was wiped holds what this restore has put there: what has indexes is known, and need not be looked up.
  const indexed = checkpoint === null ? new Map<string, Indexed>() : null
  let writing: Promise<void> = Promise.resolve()
  while (at < ends.high) {
    const tail: LogRecord[] = []
    while (at < ends.high && tail.length < RECORDS_A_WRITE) {
      // The end may belong to a transaction whose marker is on its way: it is waited for.
      const read = await log.read(changelog, at, { maxBytes: 8 * 1024 * 1024, wait: 1_000 })
      still()
      for (const record of read.records) if (record.offset < ends.high) tail.push(record)
      at = read.next
    }
    await codec.prepare(tail)
    const fresh = new Map<string, string>()
    const newest = new Map<string, LogRecord>()
    for (const record of tail) {
      const { key, value } = record
      if (key === null) continue
      if (key.startsWith('\0')) {
        const known = value === null ? null : codec.decode(value)
        if (known?.type === 'LogIdentity') logId = known.value.id
        else if (known?.type === 'TaskPosition') position = known.value.next
        else if (known?.type === 'SchemaText') learn(book, fresh, known.value.schema)
        else if (key === reserved.stop) stop = known?.type === 'TaskStop' ? known.value : null
      } else newest.set(key, record)
    }
    records += tail.length
    if (indexed === null) await writing // what is looked up may be in it
    const { changes, inputs } = contents(newest, options, fresh, indexed)
    for (const [fingerprint, text] of fresh) schemas.set(fingerprint, text)
    const reached: Checkpoint = {
      changelog: Math.min(at, ends.high),
      position: position ?? 0,
      logId: logId ?? '',
      at: options.wallClock(),
      stop,
    }
    // The next ones are read and decoded while these are written.
    await writing
    still()
    writing = store.write({ changes, inputs, schemas: fresh, checkpoint: reached })
    writing.catch(() => {}) // whoever awaits it gets the error
  }
  await writing
  still()
  task.restored({
    position: await startingPosition(log, task.inbox, committed, position),
    changelogNext: at,
    logId: logId ?? options.newId(),
    identityWritten: logId !== null,
    schemas,
    stop,
  })
  return { records, fromCheckpoint: checkpoint !== null }
}

/** The identity record is the first of a changelog; compaction leaves it there, for its key is written once. */
async function readIdentity(log: Log, codec: Codec, changelog: TopicPartition, high: number): Promise<string | null> {
  if (high === 0) return null
  const { records } = await log.read(changelog, 0, { maxBytes: 4096 })
  await codec.prepare(records)
  for (const { key, value } of records) {
    if (key !== reserved.identity || value === null) continue
    const decoded = codec.decode(value)
    if (decoded.type === 'LogIdentity') return decoded.value.id
  }
  return null
}

function trusted(
  checkpoint: Checkpoint | null,
  identity: string | null,
  high: number,
  options: RestoreOptions,
): Checkpoint | null {
  if (checkpoint === null || identity === null) return null
  const old = options.wallClock() - checkpoint.at > options.maxCheckpointAge
  return checkpoint.logId === identity && checkpoint.changelog <= high && !old ? checkpoint : null
}

/** Where the inbox is read from: the committed offset; without one, what the changelog says; else the beginning. */
async function startingPosition(
  log: Log,
  inbox: TopicPartition,
  committed: Position | undefined,
  kept: number | null,
): Promise<number> {
  const position = committed?.offset ?? kept ?? 0
  const low = (await log.ends(inbox.topic)).find(e => e.partition === inbox.partition)?.low ?? 0
  if (position < low && (committed !== undefined || kept !== null)) {
    throw new Fatal(
      'gap',
      `${partitionKey(inbox)}: next record to handle is ${position}, but the log begins at ${low}: ${low - position} are gone`,
    )
  }
  return Math.max(position, low)
}

/** The newest records of the keys as changes of the store, with the instances that its indexes need. */
function contents(
  newest: Map<string, LogRecord>,
  options: RestoreOptions,
  fresh: Map<string, string>,
  indexed: Map<string, Indexed> | null,
) {
  const { codec, book, task } = options
  const changes: Change[] = []
  const inputs = new Map<string, Buffer | null>()
  for (const [key, { value }] of newest) {
    const name = value === null ? null : codec.typeOf(value)
    if (name === 'LedgerInput' || (value === null && key.includes('\0'))) {
      inputs.set(key, value === null ? null : storedForm(codec, book, fresh, value))
      continue
    }
    if (value !== null && name !== 'Envelope')
      throw new Corrupted('damaged', `${task.changelog.topic} holds a ${name} under key "${key}"`)
    const bytes = value === null ? null : storedForm(codec, book, fresh, value)
    const before = indexed === null ? indexedOf(task.store.get(key), book) : (indexed.get(key) ?? null)
    const after = indexedOf(bytes, book)
    if (after !== null && (after.timers.length > 0 || after.ledger.length > 0)) indexed?.set(key, after)
    else indexed?.delete(key)
    changes.push({ key, before, after, bytes })
  }
  return { changes, inputs }
}

function storedForm(codec: Codec, book: SchemaBook, fresh: Map<string, string>, value: Buffer): Buffer {
  const { fingerprint, raw, name } = codec.unwrap(value)
  if (fingerprint !== recordSchema(name).fingerprint && !fresh.has(fingerprint)) learn(book, fresh, codec.schemaOf(value))
  return stored(fingerprint, raw)
}

function indexedOf(bytes: Buffer | null, book: SchemaBook): Indexed | null {
  if (bytes === null) return null
  const { fingerprint, raw } = unstored(bytes)
  return decodeIndexed(raw, fingerprint, book)
}

function learn(book: SchemaBook, into: Map<string, string>, text: string): void {
  into.set(book.add(text), text)
}
