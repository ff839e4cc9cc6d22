/**
 * The actors of a task, newest first: what is folded, what is sealed, decoded ones in the cache, what waits for the store, the store.
 */
import type { RecordName } from '../../schemas/types.ts'
import type { ActorDefinition } from '../actor.ts'
import { Corrupted } from '../errors.ts'
import type { Cache, CacheBudget } from '../generational-cache.ts'
import { type Attempt, decodeInstance, FORGET, type Instance } from '../instance.ts'
import { timerName, unknown } from '../retired.ts'
import { decodeStored, inputKey, type StateStore } from '../store.ts'
import type { StoreWriter } from '../store-writer.ts'
import type { WriterSchemas } from '../writer-schemas.ts'
import { newOverlay, type Overlay } from './overlay.ts'

/** An attempt that may run once the transaction that recorded it is committed. */
export interface Startable extends Pick<Attempt, 'attempt' | 'effect' | 'notAfter' | 'start' | 'uncertain'> {
  readonly key: string
}

/** Timers whose kind is checked when a task is restored; that of any other is checked when it fires. */
const MAX_TIMERS_CHECKED = 100_000
/** Memory of a decoded actor per byte of Avro, approximately. */
const DECODED_FACTOR = 4

export class TaskMemory {
  readonly #definition: ActorDefinition
  readonly #store: StateStore
  readonly #writer: StoreWriter
  readonly #writerSchemas: WriterSchemas
  readonly #cache: Cache<Instance>
  overlay: Overlay = newOverlay(0)
  /** Of the transaction that is on its way. */
  sealed: Overlay | null = null

  constructor(
    definition: ActorDefinition,
    store: StateStore,
    writer: StoreWriter,
    writerSchemas: WriterSchemas,
    cache: CacheBudget,
  ) {
    this.#definition = definition
    this.#store = store
    this.#writer = writer
    this.#writerSchemas = writerSchemas
    this.#cache = cache.open()
  }

  /** An actor as it is folded. */
  current(key: string): Instance | null {
    return this.overlay.touched.get(key)?.after ?? this.latest(key)
  }

  /** An actor as of the last seal. */
  latest(key: string): Instance | null {
    const sealed = this.sealed?.touched.get(key)
    if (sealed === undefined) return this.committed(key)
    return sealed.raw === null ? null : sealed.after
  }

  /** An actor as of the last commit. */
  committed(key: string): Instance | null {
    const cached = this.#cache.get(key)
    if (cached !== undefined) return cached
    const unwritten = this.#writer.get(key)
    if (unwritten !== undefined) return unwritten.raw === null ? null : unwritten.after
    const bytes = this.#store.get(key)
    let instance: Instance | null = null
    if (bytes !== null) {
      const { fingerprint, raw } = decodeStored(bytes)
      instance = decodeInstance(raw, fingerprint, this.#definition.state, this.#writerSchemas)
    }
    this.remember(key, instance, bytes?.length ?? 0)
    return instance
  }

  /** @param bytes of its Avro */
  remember(key: string, instance: Instance | null, bytes: number): void {
    this.#cache.set(key, instance, bytes * DECODED_FACTOR)
  }

  /** Input of an open attempt. @throws {Corrupted} `no_input` if the ledger has lost it */
  input(key: string, attempt: string): unknown {
    const at = inputKey(key, attempt)
    const newer = [this.overlay, this.sealed].find(o => o?.inputs.has(at))?.inputs.get(at)
    const unwritten = newer === undefined ? this.#writer.input(at) : newer
    const bytes = unwritten ?? this.#store.input(at)
    if (bytes === null) throw new Corrupted('no_input', `the input of attempt ${attempt} is not in the ledger`)
    const { fingerprint, raw } = decodeStored(bytes)
    const kept = this.#writerSchemas.decode('LedgerInput', fingerprint, raw)
    const effect = this.#definition.effects?.[kept.effect]
    if (effect === undefined) throw unknown(this.#definition, 'effect', kept.effect)
    return this.#writerSchemas.decode(effect.input as RecordName, kept.fingerprint, kept.input)
  }

  /** Whether this start of an attempt has not ended. */
  isOpen({ key, attempt, start }: Startable): boolean {
    return this.current(key)?.ledger.some(a => a.attempt === attempt && a.status === 'STARTED' && a.start === start) ?? false
  }

  /** Attempts that were running when the task was restored. */
  openAttempts(): (Startable & { owner: string })[] {
    return this.#store
      .open()
      .flatMap(key =>
        (this.committed(key)?.ledger ?? []).filter(a => a.status === 'STARTED').map(attempt => ({ ...attempt, key })),
      )
  }

  /** Effects with open attempts, and kinds of timers that are set, whether this code knows them or not. */
  held(): { effects: ReadonlySet<string>; timers: ReadonlySet<string> } {
    const effects = new Set<string>()
    for (const key of this.#store.open()) {
      for (const { effect, status } of this.committed(key)?.ledger ?? []) if (status !== 'ENDED') effects.add(effect)
    }
    const due = this.#store.due(Number.MAX_SAFE_INTEGER, MAX_TIMERS_CHECKED)
    return { effects, timers: new Set(due.filter(({ name }) => name !== FORGET).map(({ name }) => timerName(name).kind)) }
  }

  /** Drops what is folded since the last commit. */
  reset(position: number): void {
    this.overlay = newOverlay(position)
  }

  /** Drops everything that the log and the store do not say. */
  clear(position: number): void {
    this.#cache.clear()
    this.overlay = newOverlay(position)
    this.sealed = null
  }

  close(): void {
    this.#cache.close()
  }
}
