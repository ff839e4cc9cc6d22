/**
 * Actor records/s on the local log: read-modify-write of the key's state and one output for every record, exactly once, state in
 * LMDB, changelog on. Beside it the same bytes, in transactions of the same size, appended to SQLite row by row with the same
 * FULL sync: the floor of what a log in SQLite costs.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { actor } from '../engine/actor.ts'
import { LmdbStores } from '../engine/lmdb.ts'
import { Worker } from '../engine/worker.ts'
import type { TrialState } from '../schemas/types.ts'
import { changelog, deadLetters, defineTopic, ENGINE_RECORDS } from '../topics/catalog.ts'
import { Codec } from '../topics/codec.ts'
import { openLocalLog } from '../topics/local/log.ts'

const inbox = defineTopic('keyed.inbox', 'key', ['TrialInput', ...ENGINE_RECORDS])
const outputs = defineTopic('keyed.outputs', 'key', ['TrialOutput'])

const keyed = actor({
  name: 'keyed',
  inbox,
  state: 'TrialState',
  on: {
    TrialInput: (state, { sequence, payload }, context): TrialState => {
      const count = (state?.count ?? 0) + 1
      context.emit(outputs, context.key, 'TrialOutput', { sequence, count, payload })
      return { count, last: sequence, digest: '', ticks: 0, done: 0, unknown: 0, undone: 0, late: 0, payload }
    },
  },
  emits: [outputs],
})

export interface KeyedResult {
  readonly records: number
  readonly recordsPerSecond: number
  readonly transactions: number
  readonly recordsPerTransaction: number
  readonly cpuSecondsPerMillion: number
  readonly written: { readonly records: number; readonly bytes: number }
  readonly rawRecordsPerSecond: number
  readonly ratio: number
}

export async function benchKeyed({ records = 500_000, keys = 10_000, bytes = 200 } = {}): Promise<KeyedResult> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  try {
    const changes = changelog(keyed.name, inbox)
    const topics = [inbox, outputs, changes, deadLetters]
    const log = await openLocalLog({ file: join(folder, 'log.sqlite'), topics })
    const codec = await Codec.open(log, topics)
    const pool = randomBytes(bytes + 4096)
    for (let from = 0; from < records; from += 5_000) {
      const some = Array.from({ length: Math.min(5_000, records - from) }, (_, i) => {
        const at = (from + i) % 4096
        const payload = pool.subarray(at, at + bytes)
        const key = `key-${Math.floor(Math.random() * keys)}`
        return {
          topic: inbox.name,
          key,
          value: codec.encode(inbox.name, 'TrialInput', { sequence: from + i, kind: 'add', payload }),
        }
      })
      await log.append(some)
    }
    const stores = LmdbStores.open(join(folder, 'state'))
    const sizes: number[] = []
    let handled = 0
    let done: () => void = () => {}
    const finished = new Promise<void>(resolve => {
      done = resolve
    })
    const worker = new Worker({
      log,
      codec,
      actors: [keyed] as never,
      ports: {},
      group: 'bench',
      instance: 'bench',
      codeVersion: 'bench',
      openStore: async (actor, partition) => stores.store(actor, partition),
      onCommit: count => {
        sizes.push(count)
        handled += count
        if (handled >= records) done()
      },
      onError: (what, error) => {
        throw new Error(what, { cause: error })
      },
    })
    const cpu = process.cpuUsage()
    const began = performance.now()
    await worker.start()
    await finished
    const seconds = (performance.now() - began) / 1000
    const used = process.cpuUsage(cpu)
    await worker.stop()
    await stores.close()

    // What the worker wrote, counted on the topics: nothing less than one output per record.
    const written = { records: 0, bytes: 0 }
    const rows: { key: string; value: Buffer }[] = []
    let outputsSeen = 0
    for (const topic of [outputs, changes]) {
      for (const { partition, low, high } of await log.ends(topic.name)) {
        for (let next = low; next < high; ) {
          const read = await log.read({ topic: topic.name, partition }, next, { maxBytes: 8 * 1024 * 1024 })
          next = read.next
          for (const { key, value } of read.records) {
            written.records += 1
            written.bytes += (key?.length ?? 0) + (value?.length ?? 0)
            if (topic === outputs) outputsSeen += 1
            rows.push({ key: key ?? '', value: value ?? Buffer.alloc(0) })
          }
        }
      }
    }
    if (outputsSeen !== records) throw new Error(`${outputsSeen} outputs of ${records} records`)
    await log.close()
    const rawSeconds = rawAppend(join(folder, 'raw.sqlite'), rows, sizes.length)
    const recordsPerSecond = records / seconds
    const rawRecordsPerSecond = records / rawSeconds
    return {
      records,
      recordsPerSecond,
      transactions: sizes.length,
      recordsPerTransaction: records / sizes.length,
      cpuSecondsPerMillion: (used.user + used.system) / records,
      written,
      rawRecordsPerSecond,
      ratio: recordsPerSecond / rawRecordsPerSecond,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The same rows into a table, in as many transactions, each synced before it counts. Returns seconds. */
function rawAppend(file: string, rows: readonly { key: string; value: Buffer }[], transactions: number): number {
  const database = new DatabaseSync(file)
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE')
  database.exec('CREATE TABLE log (offset INTEGER PRIMARY KEY, timestamp INTEGER, key TEXT, value BLOB)')
  const insert = database.prepare('INSERT INTO log (offset, timestamp, key, value) VALUES (?, ?, ?, ?)')
  const size = Math.ceil(rows.length / transactions)
  const began = performance.now()
  for (let from = 0; from < rows.length; from += size) {
    database.exec('BEGIN')
    const now = Date.now()
    for (let i = from; i < Math.min(from + size, rows.length); i++) {
      const { key, value } = rows[i] as { key: string; value: Buffer }
      insert.run(i, now, key, value)
    }
    database.exec('COMMIT')
  }
  const seconds = (performance.now() - began) / 1000
  database.close()
  return seconds
}
