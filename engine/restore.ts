/**
 * Restoring a task: its state is what its changelog says up to the high watermark. A trusted checkpoint of the local store
 * shortens that to the tail. What the cluster holds is compared with what the task knows of it before anything is wiped or
 * handled: where the two do not fit, the task stands still until a person decides.
 *
 *   changelog, inbox, committed offset ─▶ do they fit? ─▶ (wipe) ─▶ changelog into the store ─▶ where the inbox is read from
 */
import { recordSchema } from '../schemas/index.ts'
import type { TaskDecision, TaskInbox } from '../schemas/types.ts'
import type { Codec } from '../topics/codec.ts'
import { type Ends, type Log, type LogRecord, partitionKey, type Position, type TopicPartition } from '../topics/log.ts'
import { Corrupted, Fatal } from './errors.ts'
import { decodeIndexed } from './instance.ts'
import { standing, unknown } from './retired.ts'
import type { WriterSchemas } from './writer-schemas.ts'
import { type Change, type Checkpoint, type Indexed, encodeStored, decodeStored } from './store.ts'
import type { Task } from './task.ts'

/** Bytes and records written to the store at once, about. */
const BYTES_A_WRITE = 4 * 1024 * 1024
const RECORDS_A_WRITE = 10_000
const READ_BYTES = 2 * 1024 * 1024

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
  readonly writerSchemas: WriterSchemas
  readonly task: Task
  /** The group's stable committed offset of the inbox partition, if there is one. */
  readonly committed: Position | undefined
  readonly wallClock: () => number
  /** Checkpoints older than this are not trusted, ms: half of the changelog's `delete.retention.ms`. */
  readonly maxCheckpointAge: number
  /** The local store has shown something damaged: it is made anew from the changelog. */
  readonly distrusted: boolean
  readonly newId: () => string
  /** Lets other work of the process come first. */
  readonly turn: () => Promise<void>
  /** Called between steps: throws when the assignment has moved on. */
  readonly still: () => void
}

/** What the engine's own records of a changelog say, in their order. */
interface Kept {
  logId: string | null
  position: number | null
  stop: { readonly codeVersion: string; readonly cause: string } | null
  inbox: TaskInbox | null
  /** Next offset by a person's decision that no transaction has followed. */
  accepted: number | null
  /** The newest record of a position. */
  witness: Checkpoint['witness']
}

/**
 * Restores a task.
 * @throws {Fatal} when the cluster is not as the task left it, or records it needs are gone
 * @throws {Corrupted} when something stored is damaged
 */
export async function restore(options: RestoreOptions): Promise<{ records: number; fromCheckpoint: boolean }> {
  const { log, codec, writerSchemas, task, still, turn } = options
  const { store, changelog } = task
  const ends = await endsOf(log, changelog)
  task.changelogNext = ends.high
  still()
  const { identity, states } = await readIdentity(log, codec, changelog, ends, still)
  const found = checkpointOf(task)
  const { checkpoint, wiping, givenUp = false } = await judged(found, identity, states, ends, options)
  still()
  if (wiping) await store.wipe()
  const schemas = new Map<string, string>()
  for (const text of store.schemas()) learn(writerSchemas, schemas, text)

  let at = checkpoint?.changelog ?? ends.low
  const kept: Kept = {
    logId: identity,
    position: checkpoint?.position ?? null,
    stop: checkpoint?.stop ?? null,
    inbox: checkpoint?.inbox ?? null,
    accepted: checkpoint?.accepted ?? null,
    witness: checkpoint?.witness ?? null,
  }
  let records = 0
  // A store that was wiped holds what this restore has put there: what has indexes is known, and need not be looked up.
  const indexed = checkpoint === null ? new Map<string, Indexed>() : null
  let writing: Promise<void> = Promise.resolve()
  while (at < ends.high) {
    const tail: LogRecord[] = []
    for (let bytes = 0; at < ends.high && bytes < BYTES_A_WRITE && tail.length < RECORDS_A_WRITE; ) {
      // The end may belong to a transaction whose marker is on its way: it is waited for.
      const read = await log.read(changelog, at, { maxBytes: READ_BYTES, wait: 1_000 })
      still()
      for (const record of read.records) {
        if (record.offset >= ends.high) continue
        tail.push(record)
        bytes += record.value?.length ?? 0
      }
      at = read.next
    }
    await codec.prepare(tail)
    const fresh = new Map<string, string>()
    const newest = new Map<string, LogRecord>()
    for (const record of tail) {
      if (record.key?.startsWith('\0')) note(kept, fresh, record, checkpoint, options)
      else if (record.key !== null) newest.set(record.key, record)
    }
    records += tail.length
    if (indexed === null) await writing // what is looked up may be in it
    const { changes, inputs } = contents(newest, options, fresh, indexed)
    for (const [fingerprint, text] of fresh) schemas.set(fingerprint, text)
    const { position, logId, stop, inbox, accepted, witness } = kept
    const reached: Checkpoint = {
      changelog: Math.min(at, ends.high),
      position: position ?? 0,
      logId: logId ?? '',
      at: options.wallClock(),
      stop,
      inbox,
      accepted,
      witness: witness ?? null,
    }
    // The next ones are read and decoded while these are written.
    await writing
    still()
    writing = store.write({ changes, inputs, schemas: fresh, checkpoint: reached })
    writing.catch(() => {}) // whoever awaits it gets the error
    await turn()
  }
  await writing
  still()
  const inbox = await inboxOf(options, kept)
  const position = await startingPosition(options, kept)
  still()
  task.restored({
    position,
    changelogNext: at,
    logId: kept.logId ?? options.newId(),
    identityWritten: kept.logId !== null,
    inbox,
    inboxWritten:
      kept.inbox !== null &&
      kept.inbox.identity === inbox.identity &&
      kept.inbox.partitions === inbox.partitions &&
      kept.inbox.scope === inbox.scope,
    schemas,
    stop: kept.stop,
    unsettled: kept.accepted !== null,
    givenUp,
  })
  checkHeld(task)
  return { records, fromCheckpoint: checkpoint !== null }
}

async function endsOf(log: Log, { topic, partition }: TopicPartition): Promise<Ends> {
  const ends = (await log.ends(topic)).find(e => e.partition === partition)
  if (ends === undefined) throw new Fatal('no_partition', `topic ${topic} has no partition ${partition}`)
  return ends
}

/** A record of the engine's own. @throws {Corrupted} `given_up` when a person has decided that the store is made anew */
function note(
  kept: Kept,
  fresh: Map<string, string>,
  { key, value, offset: at }: LogRecord,
  checkpoint: Checkpoint | null,
  { task, codec, writerSchemas }: RestoreOptions,
): void {
  const known = value === null ? null : codec.decode(value)
  if (known?.type === 'LogIdentity') kept.logId ??= known.value.id
  else if (known?.type === 'TaskPosition') {
    kept.position = known.value.next
    kept.accepted = null
    kept.witness = { offset: at, token: known.value.token }
  } else if (known?.type === 'SchemaText') learn(writerSchemas, fresh, known.value.schema)
  else if (known?.type === 'TaskInbox') kept.inbox = known.value
  else if (known?.type === 'TaskDecision') {
    const { action, offset, at: decidedAt } = known.value
    if (action === 'REBUILD' && checkpoint !== null && decidedAt > checkpoint.at)
      throw new Corrupted('given_up', `it was decided to rebuild ${partitionKey(task.inbox)} from its changelog`)
    kept.stop = null
    if (action === 'ACCEPT') kept.accepted = offset
  } else if (key === reserved.stop) kept.stop = known?.type === 'TaskStop' ? known.value : null
  else if (known !== null) throw new Corrupted('damaged', `${task.changelog.topic} holds a ${known.type} under a reserved key`)
}

/**
 * The identity record is the first that a task writes, and compaction leaves it there; before it there may be aborted transactions
 * and decisions of people. `states`: there are states in front of it, so the beginning of the changelog is gone.
 */
async function readIdentity(
  log: Log,
  codec: Codec,
  changelog: TopicPartition,
  { low, high }: Ends,
  still: () => void,
): Promise<{ identity: string | null; states: boolean }> {
  for (let at = low; at < high; ) {
    const { records, next } = await log.read(changelog, at, { maxBytes: 4096, wait: 1_000 })
    still()
    await codec.prepare(records)
    for (const { key, value } of records) {
      if (key === reserved.identity && value !== null) {
        const decoded = codec.decode(value)
        if (decoded.type === 'LogIdentity') return { identity: decoded.value.id, states: false }
      }
      if (key !== null && !key.startsWith('\0')) return { identity: null, states: true }
    }
    at = next
  }
  return { identity: null, states: false }
}

/** What cannot be read of a store is no checkpoint: then it is made anew. */
function checkpointOf({ store }: Task): Checkpoint | null {
  try {
    return store.checkpoint()
  } catch (error) {
    if (error instanceof Corrupted) return null
    throw error
  }
}

/**
 * Whether the local store shortens the restore. It is wiped only where the changelog has all that it held.
 * @throws {Fatal} `no_changelog`, `rolled_back` when it may hold what the changelog has lost, unless a person has decided
 */
async function judged(
  checkpoint: Checkpoint | null,
  identity: string | null,
  states: boolean,
  ends: Ends,
  options: RestoreOptions,
): Promise<{ checkpoint: Checkpoint | null; wiping: boolean; givenUp?: boolean }> {
  const { task, committed, wallClock, maxCheckpointAge, distrusted } = options
  const { changelog, inbox } = task
  const where = partitionKey(changelog)
  const known = Math.max(committed?.offset ?? 0, checkpoint?.position ?? 0)
  // One that was made of aborted transactions and decisions alone belongs to no changelog yet.
  const holds = checkpoint !== null && checkpoint.logId !== ''
  if (identity === null && (states || known > 0 || holds)) {
    if (await rebuilt(options, ends, holds ? checkpoint : null)) return { checkpoint: null, wiping: true }
    throw new Fatal(
      'no_changelog',
      `${where} ${states ? 'has lost its beginning' : 'holds no state'}, but ${partitionKey(inbox)} has been handled up to ${known}` +
        `${holds ? ', and the local store holds the state as of then' : ''}: the topic was made again, or records of it were removed. ` +
        'Bring them back, or decide to rebuild: the task then goes on with what the changelog still holds',
    )
  }
  if (checkpoint === null || identity === null) return { checkpoint: null, wiping: true }
  const witness = checkpoint.logId === identity ? await witnessed(options, ends, checkpoint) : 'gone'
  if (witness === 'another') {
    if (await rebuilt(options, ends, checkpoint)) return { checkpoint: null, wiping: true, givenUp: true }
    const found = checkpoint.changelog > ends.high ? `ends at ${ends.high}` : 'holds other records now'
    throw new Fatal(
      'rolled_back',
      `${where} ${found}, but the local store holds it up to ${checkpoint.changelog}: the topic was rolled back. ` +
        'Bring its records back, or decide to rebuild: the task then goes on with the state as the changelog has it',
    )
  }
  const old = wallClock() - checkpoint.at > maxCheckpointAge
  if (witness === 'gone' || old || distrusted || checkpoint.lost === true) return { checkpoint: null, wiping: true }
  return { checkpoint, wiping: false }
}

/** Whether the changelog still has the record that the checkpoint stands on. Compaction may have removed it: then nobody can tell. */
async function witnessed(
  { log, codec, task, still }: RestoreOptions,
  { high }: Ends,
  { changelog, witness }: Checkpoint,
): Promise<'there' | 'gone' | 'another'> {
  if (changelog > high) return 'another'
  if (witness === undefined || witness === null) return 'there'
  for (let at = witness.offset; at <= witness.offset; ) {
    const { records, next } = await log.read(task.changelog, at, { maxBytes: 4096, wait: 1_000 })
    still()
    const found = records[0]
    if (found !== undefined) {
      if (found.offset > witness.offset) return 'gone'
      await codec.prepare([found])
      const decoded = found.value === null ? null : codec.decode(found.value)
      return decoded?.type === 'TaskPosition' && decoded.value.token === witness.token ? 'there' : 'another'
    }
    at = next
  }
  return 'gone'
}

/** A person has decided, after the store was written last, that it is given up. */
async function rebuilt(
  { log, codec, task, still }: RestoreOptions,
  { low, high }: Ends,
  checkpoint: Checkpoint | null,
): Promise<boolean> {
  let decision: TaskDecision | null = null
  for (let at = low; at < high; ) {
    const { records, next } = await log.read(task.changelog, at, { maxBytes: READ_BYTES, wait: 1_000 })
    still()
    const own = records.filter(({ key, value }) => key === reserved.decision && value !== null)
    await codec.prepare(own)
    for (const { value } of own) {
      const decoded = codec.decode(value as Buffer)
      // Other decisions may have followed, about the inbox.
      if (decoded.type === 'TaskDecision' && decoded.value.action === 'REBUILD') decision = decoded.value
    }
    at = next
  }
  return decision !== null && decision.at > (checkpoint?.at ?? 0)
}

/**
 * The inbox that the state is made from.
 * @throws {Fatal} `partitions`, `inbox` when the present one is another, unless a person has decided to go on with it
 */
async function inboxOf(options: RestoreOptions, kept: Kept): Promise<TaskInbox> {
  const { log, task, committed, newId } = options
  const { inbox: before, accepted, position } = kept
  const { topic } = task.inbox
  const [identity, ends] = await Promise.all([log.topicId(topic), log.ends(topic)])
  const present = { identity, partitions: ends.length, scope: before?.scope ?? '' }
  if (before === null) return present
  if (accepted !== null) {
    // Offsets that were handled before come again with other records: ids made of them have to differ.
    const again = accepted < (committed?.offset ?? position ?? 0)
    return before.identity === identity && !again ? present : { ...present, scope: `/${identity}.${newId()}` }
  }
  // Who accepts the one accepts the other with it, and has to know of both.
  const moved = movedOffset(options, kept)
  const besides = moved === null ? '' : `. Besides, ${moved}`
  if (before.partitions !== ends.length) {
    throw new Fatal(
      'partitions',
      `${topic} had ${before.partitions} partitions when the state of ${partitionKey(task.inbox)} was made, and has ${ends.length}: ` +
        'keys have moved to other partitions, where their state is not. Go back to a topic with that many, or decide to accept: ' +
        `keys that have moved then begin without a state${besides}`,
    )
  }
  if (before.identity !== identity) {
    throw new Fatal(
      'inbox',
      `${topic} was deleted and made again since the state of ${partitionKey(task.inbox)} was made (${before.identity}, now ${identity}): ` +
        `positions of the one mean nothing in the other. Bring the topic back, or decide to accept from an offset of the new one${besides}`,
    )
  }
  return before
}

/** Says how the committed offset and the state in the changelog differ, which one transaction has written; null where they do not. */
function movedOffset({ task, committed }: RestoreOptions, { logId, position }: Kept): string | null {
  // The identity of a changelog and its first position come in one transaction.
  const made = logId !== null || position !== null
  if (committed === undefined || !made || committed.offset === position) return null
  return (
    `${partitionKey(task.inbox)}: the group's committed offset is ${committed.offset}, but the state in ${partitionKey(task.changelog)} ` +
    `is that of ${position ?? 'none'}: somebody has moved the offset, or the end of the changelog is gone`
  )
}

/**
 * Where the inbox is read from: where a person has decided; else the committed offset; without one, what the changelog says; else
 * the beginning.
 * @throws {Fatal} `moved`, `gap`, `beyond`
 */
async function startingPosition(options: RestoreOptions, kept: Kept): Promise<number> {
  const { log, task, committed } = options
  const { position, accepted } = kept
  const where = partitionKey(task.inbox)
  const { low, high } = await endsOf(log, task.inbox)
  const known = accepted ?? committed?.offset ?? position
  if (known === null) return low
  const moved = accepted === null ? movedOffset(options, kept) : null
  if (moved !== null) throw new Fatal('moved', `${moved}. Set the offset back, or decide to accept from an offset`)
  if (known < low) {
    throw new Fatal(
      'gap',
      `${where}: next record to handle is ${known}, but the log begins at ${low}: ${low - known} are gone. ` +
        `Bring them back, or decide to accept from ${low} on`,
    )
  }
  if (known > high) {
    throw new Fatal(
      'beyond',
      `${where}: next record to handle is ${known}, but the log ends at ${high}: the topic was made again or rolled back. ` +
        'Bring its records back, or decide to accept from an offset of it',
    )
  }
  return known
}

/**
 * What the state still holds open has to be known to this code.
 * @throws {Fatal} `no_effect`, `no_timer`
 */
function checkHeld(task: Task): void {
  const { definition } = task
  const { effects, timers } = task.held()
  for (const effect of effects)
    if (standing(definition, 'effect', effect) === 'unknown') throw unknown(definition, 'effect', effect)
  for (const timer of timers) if (standing(definition, 'timer', timer) === 'unknown') throw unknown(definition, 'timer', timer)
}

/** The newest records of the keys as changes of the store, with the instances that its indexes need. */
function contents(
  newest: Map<string, LogRecord>,
  options: RestoreOptions,
  fresh: Map<string, string>,
  indexed: Map<string, Indexed> | null,
) {
  const { codec, writerSchemas, task } = options
  const changes: Change[] = []
  const inputs = new Map<string, Buffer | null>()
  for (const [key, { value }] of newest) {
    const name = value === null ? null : codec.typeOf(value)
    if (name === 'LedgerInput' || (value === null && key.includes('\0'))) {
      inputs.set(key, value === null ? null : storedForm(codec, writerSchemas, fresh, value))
      continue
    }
    if (value !== null && name !== 'Envelope')
      throw new Corrupted('damaged', `${task.changelog.topic} holds a ${name} under key "${key}"`)
    const bytes = value === null ? null : storedForm(codec, writerSchemas, fresh, value)
    const before = indexed === null ? indexedOf(task.store.get(key), writerSchemas) : (indexed.get(key) ?? null)
    const after = indexedOf(bytes, writerSchemas)
    if (after !== null && (after.timers.length > 0 || after.ledger.length > 0)) indexed?.set(key, after)
    else indexed?.delete(key)
    changes.push({ key, before, after, bytes })
  }
  return { changes, inputs }
}

function storedForm(codec: Codec, writerSchemas: WriterSchemas, fresh: Map<string, string>, value: Buffer): Buffer {
  const { fingerprint, raw, name } = codec.unwrap(value)
  if (fingerprint !== recordSchema(name).fingerprint && !fresh.has(fingerprint))
    learn(writerSchemas, fresh, codec.schemaOf(value))
  return encodeStored(fingerprint, raw)
}

function indexedOf(bytes: Buffer | null, writerSchemas: WriterSchemas): Indexed | null {
  if (bytes === null) return null
  const { fingerprint, raw } = decodeStored(bytes)
  return decodeIndexed(raw, fingerprint, writerSchemas)
}

function learn(writerSchemas: WriterSchemas, into: Map<string, string>, text: string): void {
  into.set(writerSchemas.add(text), text)
}
