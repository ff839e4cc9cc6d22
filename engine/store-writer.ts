/**
 * The way of a task's committed state into its store, which is a cache of the changelog and need not have it at once: what
 * several transactions have changed waits, and is written together, a key that changed often once.
 *
 *   add (committed) ─▶ waiting ──flush──▶ being written ──▶ the store shows it
 *
 * Until then it is read here. One write at a time; what comes meanwhile waits for the next.
 */
import { recordSchema } from '../schemas/index.ts'
import type { Instance } from './instance.ts'
import { type Change, type Checkpoint, type StateStore, encodeStored } from './store.ts'

/** An actor that a transaction has changed; `raw` is its Avro, null where nothing is kept of it. */
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
  /** Attempts that need not be known any more. */
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
  /** Timers are found in the store: they must not wait. */
  urgent: boolean
  /** When the first of it was added, monotonic ms. */
  readonly since: number
}

/** What is committed waits so long, ms, unless it is much. */
export const WAITS_MS = 1_000

export class StoreWriter {
  readonly #store: StateStore
  readonly #shown: (touched: ReadonlyMap<string, Changed>) => void
  #waiting: Batch | null = null
  #writing: Batch | null = null
  #written: Promise<void> = Promise.resolve()
  #failure: unknown = null

  /** @param shown is told what the store shows from now on */
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
      batch.urgent ||= concernsTimers(before, after, now + WAITS_MS)
    }
    for (const [key, bytes] of inputs) batch.inputs.set(key, bytes)
    for (const [fingerprint, text] of schemas) batch.schemas.set(fingerprint, text)
    batch.closed.push(...closed)
    batch.checkpoint = checkpoint
  }

  /** An actor as of what the store does not show yet; undefined where that says nothing of it. */
  get(key: string): Changed | undefined {
    return this.#waiting?.touched.get(key) ?? this.#writing?.touched.get(key)
  }

  /** An input as of what the store does not show yet: null where it is gone, undefined where nothing is said of it. */
  input(key: string): Buffer | null | undefined {
    const waiting = this.#waiting?.inputs.get(key)
    return waiting === undefined ? this.#writing?.inputs.get(key) : waiting
  }

  /** Bytes that wait, about. */
  get bytes(): number {
    return this.#waiting?.bytes ?? 0
  }

  /** Whether what waits must not wait. */
  get urgent(): boolean {
    return this.#waiting?.urgent ?? false
  }

  /** Whether what waits has waited long enough. */
  due(mono: number): boolean {
    return this.#waiting !== null && mono - this.#waiting.since >= WAITS_MS
  }

  /** Whether what waits is kept back by a write that does not end. */
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

  /** Why a write has failed: nothing is written behind that until the task is restored. */
  get failure(): unknown {
    return this.#failure
  }

  /** The store has been made what the changelog says. */
  reset(): void {
    this.#waiting = null
    this.#writing = null
    this.#failure = null
  }

  /** Never rejects. What could not be written stays: it is newer than what the store shows. */
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

/** A timer that is due by then has come, or is gone. */
function concernsTimers(before: Instance | null, after: Instance, by: number): boolean {
  const timers = before?.timers
  if (timers === after.timers) return false
  return (timers?.some(({ at }) => at <= by) ?? false) || after.timers.some(({ at }) => at <= by)
}

function change(key: string, { before, after, raw }: Changed): Change {
  if (raw === null) return { key, before, after: null, bytes: null }
  return { key, before, after, bytes: encodeStored(recordSchema('Envelope').fingerprint, raw) }
}
