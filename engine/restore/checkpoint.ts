/**
 * Whether the checkpoint of the local store can shorten a restore: only if the changelog is still the one it was made from, and holds
 * everything up to it.
 */
import type { TaskDecision } from '../../schemas/types.ts'
import type { Codec } from '../../topics/codec.ts'
import { type Ends, type Log, partitionKey, type TopicPartition } from '../../topics/log.ts'
import { reserved } from '../changelog.ts'
import { Corrupted, Fatal } from '../errors.ts'
import type { Checkpoint } from '../store.ts'
import type { Task } from '../task.ts'
import { READ_BYTES, type RestoreOptions } from './options.ts'

/** Enough for the first record at an offset. */
const SMALL_READ_BYTES = 4096
const READ_WAIT_MS = 1_000

/**
 * The identity record is the first that a task writes, and compaction leaves it there; only aborted transactions and people's decisions
 * may precede it. `states`: states precede it, so the beginning of the changelog is lost.
 */
export async function readIdentity(
  log: Log,
  codec: Codec,
  changelog: TopicPartition,
  { low, high }: Ends,
  assertCurrent: () => void,
): Promise<{ identity: string | null; states: boolean }> {
  for (let at = low; at < high; ) {
    const { records, next } = await log.read(changelog, at, { maxBytes: SMALL_READ_BYTES, wait: READ_WAIT_MS })
    assertCurrent()
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

/** Null if it cannot be read: then the store is rebuilt. */
export function checkpointOf({ store }: Task): Checkpoint | null {
  try {
    return store.checkpoint()
  } catch (error) {
    if (error instanceof Corrupted) return null
    throw error
  }
}

/**
 * The checkpoint to restore from, or null. The store is wiped only if the changelog has all that it held.
 * @throws {Fatal} `no_changelog`, `rolled_back` if the store may hold what the changelog has lost, unless a person has decided
 */
export async function chooseCheckpoint(
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
  // One made only of aborted transactions and decisions belongs to no changelog yet.
  const holds = checkpoint !== null && checkpoint.logId !== ''
  if (identity === null && (states || known > 0 || holds)) {
    if (await rebuildDecided(options, ends, holds ? checkpoint : null)) return { checkpoint: null, wiping: true }
    throw new Fatal(
      'no_changelog',
      `${where} ${states ? 'has lost its beginning' : 'holds no state'}, but ${partitionKey(inbox)} has been handled up to ${known}` +
        `${holds ? ', and the local store holds the state as of then' : ''}: the topic was recreated, or records of it were removed. ` +
        'Restore them, or decide to rebuild: the task then continues with what the changelog still holds',
    )
  }
  if (checkpoint === null || identity === null) return { checkpoint: null, wiping: true }
  const witness = checkpoint.logId === identity ? await findWitness(options, ends, checkpoint) : 'gone'
  if (witness === 'another') {
    if (await rebuildDecided(options, ends, checkpoint)) return { checkpoint: null, wiping: true, givenUp: true }
    const found = checkpoint.changelog > ends.high ? `ends at ${ends.high}` : 'holds other records now'
    throw new Fatal(
      'rolled_back',
      `${where} ${found}, but the local store holds it up to ${checkpoint.changelog}: the topic was rolled back. ` +
        'Restore its records, or decide to rebuild: the task then continues with the state as the changelog has it',
    )
  }
  const old = wallClock() - checkpoint.at > maxCheckpointAge
  if (witness === 'gone' || old || distrusted || checkpoint.lost === true) return { checkpoint: null, wiping: true }
  return { checkpoint, wiping: false }
}

/** Whether the changelog still has the record that the checkpoint names. `gone`: compaction may have removed it, so nothing follows. */
async function findWitness(
  { log, codec, task, assertCurrent }: RestoreOptions,
  { high }: Ends,
  { changelog, witness }: Checkpoint,
): Promise<'there' | 'gone' | 'another'> {
  if (changelog > high) return 'another'
  if (witness === undefined || witness === null) return 'there'
  for (let at = witness.offset; at <= witness.offset; ) {
    const { records, next } = await log.read(task.changelog, at, { maxBytes: SMALL_READ_BYTES, wait: READ_WAIT_MS })
    assertCurrent()
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

/** Whether a person decided, after the store's last write, to rebuild it. */
async function rebuildDecided(
  { log, codec, task, assertCurrent }: RestoreOptions,
  { low, high }: Ends,
  checkpoint: Checkpoint | null,
): Promise<boolean> {
  let decision: TaskDecision | null = null
  for (let at = low; at < high; ) {
    const { records, next } = await log.read(task.changelog, at, { maxBytes: READ_BYTES, wait: READ_WAIT_MS })
    assertCurrent()
    const decisions = records.filter(({ key, value }) => key === reserved.decision && value !== null)
    await codec.prepare(decisions)
    for (const { value } of decisions) {
      const decoded = codec.decode(value as Buffer)
      // Other decisions, about the inbox, may follow it.
      if (decoded.type === 'TaskDecision' && decoded.value.action === 'REBUILD') decision = decoded.value
    }
    at = next
  }
  return decision !== null && decision.at > (checkpoint?.at ?? 0)
}
