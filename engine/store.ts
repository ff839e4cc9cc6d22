/**
 * The state of one task's actors on this machine, written only after the commit that made it. It is a cache of the changelog: if it
 * cannot be trusted it is wiped, and restored from there.
 *
 *   key            → envelope of the actor         at, key, name → version of a timer, in the order of their time
 *   key\0attempt   → input of an open attempt      key           → actors with open attempts
 *   fingerprint    → schema that wrote the above   checkpoint: how far the changelog is in
 */
import type { TaskInbox } from '../schemas/types.ts'
import type { Instance } from './instance.ts'

export interface DueTimer {
  readonly key: string
  readonly name: string
  readonly at: number
  readonly version: string
}

export interface Checkpoint {
  /** Next changelog offset to restore from. */
  readonly changelog: number
  /** Next inbox offset as of that point. */
  readonly position: number
  readonly logId: string
  /** Wall clock of the write, ms. */
  readonly at: number
  /** Why the task is stopped, and under which code. */
  readonly stop: { readonly codeVersion: string; readonly cause: string } | null
  /** The inbox that the state was made from. */
  readonly inbox?: TaskInbox | null
  /** The record of the changelog that it is based on: if another one is at its offset, the topic has another history. */
  readonly witness?: { readonly offset: number; readonly token: string } | null
  /** Next inbox offset by a person's decision that no transaction has followed yet. */
  readonly accepted?: number | null
  /** A crash of the machine has lost the state: nothing is stored but how far the task had come. */
  readonly lost?: boolean
}

/** The parts of an instance that the store indexes. */
export type Indexed = Pick<Instance, 'timers' | 'ledger'>

/** One change of an actor: its instance before and after, and its bytes; null if there is none. */
export interface Change {
  readonly key: string
  readonly before: Indexed | null
  readonly after: Indexed | null
  /** Fingerprint of the Envelope schema and raw Avro, as `encodeStored` makes them. */
  readonly bytes: Buffer | null
}

export interface StoreBatch {
  readonly changes: readonly Change[]
  /** Inputs of attempts by `inputKey`; null removes one. */
  readonly inputs: ReadonlyMap<string, Buffer | null>
  readonly schemas: ReadonlyMap<string, string>
  readonly checkpoint: Checkpoint
}

/** Reads throw `Corrupted` (`store_damaged`) if what is stored cannot be read. */
export interface StateStore {
  /** Random: the owner of attempts started here. It changes with each boot of the machine, and if sent marks may be missing. */
  readonly id: string
  get(key: string): Buffer | null
  input(key: string): Buffer | null
  checkpoint(): Checkpoint | null
  schemas(): Iterable<string>
  /** Timers due at or before `now`, earliest first. */
  due(now: number, limit: number): DueTimer[]
  /** When the next timer is due, or null. */
  nextDue(): number | null
  /** Keys of actors with open attempts. */
  open(): string[]
  /**
   * All of it or nothing. Resolves once reads see it.
   * @throws {Retryable} if it could not be written and may be tried again. {Corrupted} if the store is damaged. {Fatal} if this store
   * accepts no more writes
   */
  write(batch: StoreBatch): Promise<void>
  /**
   * Marks an attempt as sent, before it returns. The mark outlives the process under the same `id`.
   * @throws {Retryable} if it could not be marked; then the attempt must not be sent
   */
  markSent(attempt: string): void
  wasSent(attempt: string): boolean
  /** Does not throw: a mark that could not be cleared may count again after a restart. */
  clearSent(attempts: readonly string[]): void
  /** All of it or nothing; sent marks stay. */
  wipe(): Promise<void>
}

/** The state stores of a process: one for each task that it has or had. */
export interface StateStores {
  /** @throws if it cannot be opened now */
  store(actor: string, partition: number): StateStore
  /** Tasks that have a store here. */
  list(): { readonly actor: string; readonly partition: number }[]
  /** Removes the store of a task that lives elsewhere, with all that is in it. Sent marks of its attempts stay. */
  drop(actor: string, partition: number): Promise<void>
}

/** Key of an attempt's input, in the changelog and in the store. */
export function inputKey(key: string, attempt: string): string {
  return `${key}\0${attempt}`
}

/** Timers that a change removes and adds, and whether the actor begins or ceases to have open attempts. */
export function indexChanges({ before, after }: Change) {
  const removed = (before?.timers ?? []).filter(b => !after?.timers.some(a => a.name === b.name && a.version === b.version))
  const added = (after?.timers ?? []).filter(a => !before?.timers.some(b => a.name === b.name && a.version === b.version))
  const wasOpen = isOpen(before)
  const open = isOpen(after)
  return { removed, added, opened: open && !wasOpen, closed: wasOpen && !open }
}

function isOpen(instance: Indexed | null): boolean {
  return instance?.ledger.some(a => a.status !== 'ENDED') ?? false
}

/** Longest key of an actor, with a name or an id of its own behind it, that a store takes, in bytes (LMDB: 1978). */
export const MAX_KEY_BYTES = 1_900

/** Bytes of a stored envelope: the fingerprint of its schema (8 bytes), raw Avro. */
export function encodeStored(fingerprint: string, raw: Buffer): Buffer {
  let mark = marks.get(fingerprint)
  if (mark === undefined) {
    mark = Buffer.from(fingerprint, 'hex')
    marks.set(fingerprint, mark)
  }
  const bytes = Buffer.allocUnsafe(mark.length + raw.length)
  mark.copy(bytes)
  raw.copy(bytes, mark.length)
  return bytes
}

/** Fingerprints as bytes. */
const marks = new Map<string, Buffer>()

export function decodeStored(bytes: Buffer): { fingerprint: string; raw: Buffer } {
  return { fingerprint: bytes.toString('hex', 0, 8), raw: bytes.subarray(8) }
}

/** A store in memory: of tasks that keep no state, of the simulator, and of tests. */
export class MemoryStore implements StateStore {
  id: string
  readonly #values = new Map<string, Buffer>()
  readonly #inputs = new Map<string, Buffer>()
  readonly #timers = new Map<string, DueTimer>()
  readonly #open = new Set<string>()
  readonly #schemas = new Map<string, string>()
  /** A crash of the machine may lose some, and changes the `id`. */
  protected readonly notes = new Set<string>()
  #checkpoint: Checkpoint | null = null

  constructor(id: string) {
    this.id = id
  }

  get(key: string): Buffer | null {
    return this.#values.get(key) ?? null
  }
  input(key: string): Buffer | null {
    return this.#inputs.get(key) ?? null
  }
  checkpoint(): Checkpoint | null {
    return this.#checkpoint
  }
  schemas(): Iterable<string> {
    return this.#schemas.values()
  }
  due(now: number, limit: number): DueTimer[] {
    return [...this.#timers.values()]
      .filter(t => t.at <= now)
      .sort((a, b) => a.at - b.at)
      .slice(0, limit)
  }
  nextDue(): number | null {
    let next: number | null = null
    for (const { at } of this.#timers.values()) if (next === null || at < next) next = at
    return next
  }
  open(): string[] {
    return [...this.#open]
  }
  async write(batch: StoreBatch): Promise<void> {
    for (const change of batch.changes) {
      const { key, bytes } = change
      if (bytes === null) this.#values.delete(key)
      else this.#values.set(key, bytes)
      const { removed, added, opened, closed } = indexChanges(change)
      for (const { name } of removed) this.#timers.delete(`${key}\0${name}`)
      for (const { name, at, version } of added) this.#timers.set(`${key}\0${name}`, { key, name, at, version })
      if (opened) this.#open.add(key)
      if (closed) this.#open.delete(key)
    }
    for (const [key, bytes] of batch.inputs) {
      if (bytes === null) this.#inputs.delete(key)
      else this.#inputs.set(key, bytes)
    }
    for (const [fingerprint, text] of batch.schemas) this.#schemas.set(fingerprint, text)
    this.#checkpoint = batch.checkpoint
  }
  markSent(attempt: string): void {
    this.notes.add(attempt)
  }
  wasSent(attempt: string): boolean {
    return this.notes.has(attempt)
  }
  clearSent(attempts: readonly string[]): void {
    for (const attempt of attempts) this.notes.delete(attempt)
  }
  async wipe(): Promise<void> {
    this.#values.clear()
    this.#inputs.clear()
    this.#timers.clear()
    this.#open.clear()
    this.#schemas.clear()
    this.#checkpoint = null
  }
}
