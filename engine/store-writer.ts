/**
 * Writes a task's committed state to its store. The store is a cache of the changelog and may lag behind it: the changes of several
 * transactions are written together, and a key that changed several times once.
 *
 *   add (committed) ─▶ waiting ──flush──▶ being written ──▶ the store shows it
 *
 * Until then it is read here. One write at a time; what is added meanwhile waits for the next.
 */
import { recordSchema } from '../schemas/index.ts'
import type { Instance } from './instance.ts'
import { type Change, type Checkpoint, type StateStore, encodeStored } from './store.ts'

/** An actor that a transaction has changed; `raw` is its Avro, null if nothing is kept of it. */
export interface Changed {
  readonly before: Instance | null
  readonly after: Instance
  readonly raw: Buffer | null
}

/** What a committed transaction has changed. */
export interface Committed {
  readonly touched: ReadonlyMap<string, Changed>
  readonly inputs: ReadonlyMap<string, Buffer | null>
  readonly schemas: ReadonlyMap<string, string>
  /** Attempts whose sent marks can be cleared. */
  readonly closed: readonly string[]
  readonly checkpoint: Checkpoint
}

interface Batch {
  readonly touched: Map<string, Changed>
  readonly inputs: Map<string, Buffer | null>
  readonly schemas: Map<string, string>
  readonly closed: string[]
  checkpoint: Checkpoint
  bytes: number
  /** It has timers that are due soon: they are found in the store only. */
  urgent: boolean
  /** When its first change was added, monotonic ms. */
  readonly since: number
}

/** The longest that a change waits. */
export const MAX_WAIT_MS = 1_000

export class StoreWriter {
  readonly #store: StateStore
  readonly #shown: (touched: ReadonlyMap<string, Changed>) => void
  #waiting: Batch | null = null
  #writing: Batch | null = null
  #written: Promise<void> = Promise.resolve()
  #failure: unknown = null

  /** @param shown called with what the store shows from now on */
  constructor(store: StateStore, shown: (touched: ReadonlyMap<string, Changed>) => void) {
    this.#store = store
    this.#shown = shown
  }

  /** @param now wall clock; `mono` monotonic; ms both */
  add({ touched, inputs, schemas, closed, checkpoint }: Committed, now: number, mono: number): void {
    this.#waiting ??= { ...emptyBatch(), checkpoint, since: mono }
    const batch = this.#waiting
    for (const [key, { before, after, raw }] of touched) {
      const waits = batch.touched.get(key)
      batch.touched.set(key, { before: waits === undefined ? before : waits.before, after, raw })
      batch.bytes += raw?.length ?? 0
      batch.urgent ||= concernsTimers(before, after, now + MAX_WAIT_MS)
    }
    for (const [key, bytes] of inputs) batch.inputs.set(key, bytes)
    for (const [fingerprint, text] of schemas) batch.schemas.set(fingerprint, text)
    batch.closed.push(...closed)
    batch.checkpoint = checkpoint
  }

  /** An actor as of what the store does not show yet; undefined if it has no such change. */
  get(key: string): Changed | undefined {
    return this.#waiting?.touched.get(key) ?? this.#writing?.touched.get(key)
  }

  /** An input as of what the store does not show yet: null if it was removed, undefined if it has no such change. */
  input(key: string): Buffer | null | undefined {
    const waiting = this.#waiting?.inputs.get(key)
    return waiting === undefined ? this.#writing?.inputs.get(key) : waiting
  }

  /** Bytes that wait, approximately. */
  get bytes(): number {
    return this.#waiting?.bytes ?? 0
  }

  /** Whether what waits must be written at once. */
  get urgent(): boolean {
    return this.#waiting?.urgent ?? false
  }

  /** Whether what waits has waited long enough. */
  due(mono: number): boolean {
    return this.#waiting !== null && mono - this.#waiting.since >= MAX_WAIT_MS
  }

  /** Whether what waits is held up by a write that does not end. */
  behind(mono: number): boolean {
    return this.#writing !== null && this.due(mono)
  }

  /** Writes what waits, unless something is being written. */
  flush(): void {
    if (this.#waiting === null || this.#writing !== null) return
    this.#writing = this.#waiting
    this.#waiting = null
    this.#written = this.#write(this.#writing)
  }

  /** Resolved once the store shows everything that was added, or a write has failed. */
  async written(): Promise<void> {
    for (;;) {
      this.flush()
      if (this.#writing === null || this.#failure !== null) return
      await this.#written
    }
  }

  /** Why a write has failed: nothing is written after that until the task is restored. */
  get failure(): unknown {
    return this.#failure
  }

  /** The store has been restored from the changelog. */
  reset(): void {
    this.#waiting = null
    this.#writing = null
    this.#failure = null
  }

  /** Never rejects. What could not be written stays readable: it is newer than what the store shows. */
  async #write(batch: Batch): Promise<void> {
    const { touched, inputs, schemas, closed, checkpoint } = batch
    try {
      const changes = [...touched].map(([key, changed]) => change(key, changed))
      await this.#store.write({ changes, inputs, schemas, checkpoint })
      if (closed.length > 0) this.#store.clearSent(closed)
      this.#writing = null
      this.#shown(touched)
    } catch (error) {
      this.#failure = error
    }
  }
}

function emptyBatch(): Omit<Batch, 'checkpoint' | 'since'> {
  return { touched: new Map(), inputs: new Map(), schemas: new Map(), closed: [], bytes: 0, urgent: false }
}

/** Whether a timer that is due by then was set or cleared. */
function concernsTimers(before: Instance | null, after: Instance, by: number): boolean {
  const timers = before?.timers
  if (timers === after.timers) return false
  return (timers?.some(({ at }) => at <= by) ?? false) || after.timers.some(({ at }) => at <= by)
}

function change(key: string, { before, after, raw }: Changed): Change {
  if (raw === null) return { key, before, after: null, bytes: null }
  return { key, before, after, bytes: encodeStored(recordSchema('Envelope').fingerprint, raw) }
}
