/**
 * Restoring a task: its state is what its changelog says up to the high watermark. A trusted checkpoint of the local store shortens
 * that to the tail. The cluster is compared with what the task knows of it before anything is wiped or handled: if the two do not
 * match, the task halts until a person decides.
 *
 *   changelog, inbox, committed offset ─▶ do they match? ─▶ (wipe) ─▶ changelog into the store ─▶ where the inbox is read from
 */
import { type Ends, type LogRecord, partitionKey } from '../topics/log.ts'
import { reserved } from './changelog.ts'
import { Corrupted } from './errors.ts'
import { checkpointOf, chooseCheckpoint, readIdentity } from './restore/checkpoint.ts'
import { contents, learn } from './restore/contents.ts'
import { inboxOf, startingPosition } from './restore/inbox.ts'
import { endsOf, READ_BYTES, type Recovered, type RestoreOptions } from './restore/options.ts'
import { standing, unknown } from './retired.ts'
import type { Checkpoint, Indexed } from './store.ts'
import type { Task } from './task.ts'

/** Bytes and records written to the store at once, approximately. */
const BATCH_BYTES = 4 * 1024 * 1024
const BATCH_RECORDS = 10_000
/** The end may belong to a transaction whose marker is on its way: it is waited for. */
const READ_WAIT_MS = 1_000

/**
 * Restores a task.
 * @throws {Fatal} if the cluster is not as the task left it, or records it needs are gone
 * @throws {Corrupted} if something stored is damaged
 */
export async function restore(options: RestoreOptions): Promise<{ records: number; fromCheckpoint: boolean }> {
  const { log, codec, writerSchemas, task, assertCurrent } = options
  const { store, changelog } = task
  const ends = await endsOf(log, changelog)
  task.changelogNext = ends.high
  assertCurrent()
  const { identity, states } = await readIdentity(log, codec, changelog, ends, assertCurrent)
  const { checkpoint, wiping, givenUp = false } = await chooseCheckpoint(checkpointOf(task), identity, states, ends, options)
  assertCurrent()
  if (wiping) await store.wipe()
  const schemas = new Map<string, string>()
  for (const text of store.schemas()) learn(writerSchemas, schemas, text)
  const recovered: Recovered = {
    logId: identity,
    position: checkpoint?.position ?? null,
    stop: checkpoint?.stop ?? null,
    inbox: checkpoint?.inbox ?? null,
    accepted: checkpoint?.accepted ?? null,
    witness: checkpoint?.witness ?? null,
  }
  const { records, next } = await replayChangelog(options, ends, checkpoint, recovered, schemas)
  const inbox = await inboxOf(options, recovered)
  const position = await startingPosition(options, recovered)
  assertCurrent()
  const { logId, stop, accepted, inbox: written } = recovered
  task.restored({
    position,
    changelogNext: next,
    logId: logId ?? options.newId(),
    identityWritten: logId !== null,
    inbox,
    inboxWritten:
      written !== null &&
      written.identity === inbox.identity &&
      written.partitions === inbox.partitions &&
      written.scope === inbox.scope,
    schemas,
    stop,
    unsettled: accepted !== null,
    givenUp,
  })
  checkHeld(task)
  return { records, fromCheckpoint: checkpoint !== null }
}

/** Writes what the changelog says behind the checkpoint into the store, batch by batch. */
async function replayChangelog(
  options: RestoreOptions,
  ends: Ends,
  checkpoint: Checkpoint | null,
  recovered: Recovered,
  schemas: Map<string, string>,
): Promise<{ records: number; next: number }> {
  const { codec, task, assertCurrent, turn, wallClock } = options
  // A wiped store holds only what this restore has written: what it indexes is known without reading it.
  const indexed = checkpoint === null ? new Map<string, Indexed>() : null
  let records = 0
  let at = checkpoint?.changelog ?? ends.low
  let writing: Promise<void> = Promise.resolve()
  while (at < ends.high) {
    const batch = await readBatch(options, at, ends.high)
    at = batch.next
    await codec.prepare(batch.records)
    const fresh = new Map<string, string>()
    const newest = new Map<string, LogRecord>()
    for (const record of batch.records) {
      if (record.key?.startsWith('\0')) applyReserved(recovered, fresh, record, checkpoint, options)
      else if (record.key !== null) newest.set(record.key, record)
    }
    records += batch.records.length
    if (indexed === null) await writing // what is looked up may be in it
    const { changes, inputs } = contents(newest, options, fresh, indexed)
    for (const [fingerprint, text] of fresh) schemas.set(fingerprint, text)
    const { position, logId, stop, inbox, accepted, witness } = recovered
    const reached: Checkpoint = {
      changelog: Math.min(at, ends.high),
      position: position ?? 0,
      logId: logId ?? '',
      at: wallClock(),
      stop,
      inbox,
      accepted,
      witness: witness ?? null,
    }
    // The next batch is read and decoded while this one is written.
    await writing
    assertCurrent()
    writing = task.store.write({ changes, inputs, schemas: fresh, checkpoint: reached })
    writing.catch(() => {}) // thrown where it is awaited
    await turn()
  }
  await writing
  assertCurrent()
  return { records, next: at }
}

async function readBatch({ log, task, assertCurrent }: RestoreOptions, from: number, high: number) {
  const records: LogRecord[] = []
  let next = from
  for (let bytes = 0; next < high && bytes < BATCH_BYTES && records.length < BATCH_RECORDS; ) {
    const read = await log.read(task.changelog, next, { maxBytes: READ_BYTES, wait: READ_WAIT_MS })
    assertCurrent()
    for (const record of read.records) {
      if (record.offset >= high) continue
      records.push(record)
      bytes += record.value?.length ?? 0
    }
    next = read.next
  }
  return { records, next }
}

/** A record of the engine's own. @throws {Corrupted} `given_up` if a person has decided that the store is rebuilt */
function applyReserved(
  recovered: Recovered,
  fresh: Map<string, string>,
  { key, value, offset: at }: LogRecord,
  checkpoint: Checkpoint | null,
  { task, codec, writerSchemas }: RestoreOptions,
): void {
  const known = value === null ? null : codec.decode(value)
  if (known?.type === 'LogIdentity') recovered.logId ??= known.value.id
  else if (known?.type === 'TaskPosition') {
    recovered.position = known.value.next
    recovered.accepted = null
    recovered.witness = { offset: at, token: known.value.token }
  } else if (known?.type === 'SchemaText') learn(writerSchemas, fresh, known.value.schema)
  else if (known?.type === 'TaskInbox') recovered.inbox = known.value
  else if (known?.type === 'TaskDecision') {
    const { action, offset, at: decidedAt } = known.value
    if (action === 'REBUILD' && checkpoint !== null && decidedAt > checkpoint.at)
      throw new Corrupted('given_up', `it was decided to rebuild ${partitionKey(task.inbox)} from its changelog`)
    recovered.stop = null
    if (action === 'ACCEPT') recovered.accepted = offset
  } else if (key === reserved.stop) recovered.stop = known?.type === 'TaskStop' ? known.value : null
  else if (known !== null) throw new Corrupted('damaged', `${task.changelog.topic} holds a ${known.type} under a reserved key`)
}

/**
 * This code must know the effects and timers that the state still holds.
 * @throws {Fatal} `no_effect`, `no_timer`
 */
function checkHeld(task: Task): void {
  const { definition } = task
  const { effects, timers } = task.actors.held()
  for (const effect of effects)
    if (standing(definition, 'effect', effect) === 'unknown') throw unknown(definition, 'effect', effect)
  for (const timer of timers) if (standing(definition, 'timer', timer) === 'unknown') throw unknown(definition, 'timer', timer)
}
