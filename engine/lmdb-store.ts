/** The state store of one task on LMDB: its databases in the environment that all stores of the process share. */
import type { Database } from 'lmdb'
import type { Boots } from './boots.ts'
import type { Environment } from './environment.ts'
import { Fatal, Retryable } from './errors.ts'
import { extentText, type SentMarks } from './sent-marks.ts'
import { type Checkpoint, type DueTimer, indexChanges, MAX_KEY_BYTES, type StateStore, type StoreBatch } from './store.ts'

/** Databases of one task. */
export const DATABASES = ['values', 'inputs', 'timers', 'open', 'meta', 'schemas'] as const

/** Extent of the marks as of a write, so that an older copy of their file is noticed. */
export function putExtent({ about }: Environment, sentMarks: SentMarks): void {
  about.put('notes', extentText(sentMarks.extent))
}

type TimerKey = [at: number, key: string, name: string]

export class LmdbStore implements StateStore {
  readonly id: string
  readonly #name: string
  readonly #environment: Environment
  readonly #sentMarks: SentMarks
  readonly #boots: Boots
  readonly #values: Database<Buffer, string>
  readonly #inputs: Database<Buffer, string>
  readonly #timers: Database<string, TimerKey>
  readonly #open: Database<string, string>
  readonly #meta: Database<string, string>
  readonly #schemas: Database<string, string>
  #dropped = false

  constructor(environment: Environment, name: string, id: string, sentMarks: SentMarks, boots: Boots) {
    this.id = id
    this.#name = name
    this.#environment = environment
    this.#sentMarks = sentMarks
    this.#boots = boots
    const open = (database: (typeof DATABASES)[number], encoding: 'binary' | 'string') =>
      environment.database<never>(`${name}/${database}`, encoding)
    this.#values = open('values', 'binary')
    this.#inputs = open('inputs', 'binary')
    this.#timers = open('timers', 'string')
    this.#open = open('open', 'string')
    this.#meta = open('meta', 'string')
    this.#schemas = open('schemas', 'string')
  }

  get(key: string): Buffer | null {
    return this.#read(() => this.#values.get(key) ?? null)
  }

  input(key: string): Buffer | null {
    return this.#read(() => this.#inputs.get(key) ?? null)
  }

  checkpoint(): Checkpoint | null {
    const text = this.#read(() => this.#meta.get('checkpoint'))
    return text === undefined ? this.#boots.lost(this.#name) : parseCheckpoint(text)
  }

  schemas(): Iterable<string> {
    return this.#read(() => [...this.#schemas.getRange()].map(({ value }) => value))
  }

  due(now: number, limit: number): DueTimer[] {
    const range = { end: [now + 1, '', ''] as TimerKey, limit }
    return this.#read(() =>
      [...this.#timers.getRange(range)].map(({ key: [at, key, name], value }) => ({ at, key, name, version: value })),
    )
  }

  nextDue(): number | null {
    const [first] = this.#read(() => [...this.#timers.getKeys({ limit: 1 })])
    return first?.[0] ?? null
  }

  open(): string[] {
    return this.#read(() => [...this.#open.getKeys()])
  }

  async write(batch: StoreBatch): Promise<void> {
    refuseLongKeys(this.#name, batch)
    const { changes, inputs, schemas, checkpoint } = batch
    const indexed = changes.map(change => ({ ...change, ...indexChanges(change) }))
    const text = JSON.stringify(checkpoint)
    const writing = this.#write(() => {
      for (const { key, bytes, removed, added, opened, closed } of indexed) {
        if (bytes === null) this.#values.remove(key)
        else this.#values.put(key, bytes)
        for (const { at, name } of removed) this.#timers.remove([at, key, name])
        for (const { at, name, version } of added) this.#timers.put([at, key, name], version)
        if (opened) this.#open.put(key, '')
        if (closed) this.#open.remove(key)
      }
      for (const [key, bytes] of inputs) {
        if (bytes === null) this.#inputs.remove(key)
        else this.#inputs.put(key, bytes)
      }
      for (const [fingerprint, text] of schemas) this.#schemas.put(fingerprint, text)
      this.#meta.put('checkpoint', text)
      putExtent(this.#environment, this.#sentMarks)
    })
    try {
      await writing
      this.#boots.reached(this.#name, checkpoint)
    } catch (error) {
      // LMDB's error does not tell a full disk from damage; reading does.
      if (error instanceof Retryable) for (const { key } of changes) this.get(key)
      throw error
    }
  }

  markSent(attempt: string): void {
    this.#sentMarks.add(attempt)
  }

  wasSent(attempt: string): boolean {
    return this.#sentMarks.has(attempt)
  }

  clearSent(attempts: readonly string[]): void {
    for (const attempt of attempts) this.#sentMarks.delete(attempt)
  }

  async wipe(): Promise<void> {
    await this.#write(() => {
      for (const database of [this.#values, this.#inputs, this.#timers, this.#open, this.#schemas]) database.clearAsync()
      this.#meta.remove('checkpoint')
    })
    this.#boots.forget(this.#name)
  }

  /** Removes its databases. Their handles may belong to those of another task afterwards. */
  async drop(): Promise<void> {
    const dropped = this.#write(() => {
      for (const database of [this.#values, this.#inputs, this.#timers, this.#open, this.#meta, this.#schemas]) database.drop()
    })
    this.#dropped = true
    await dropped
    this.#boots.forget(this.#name)
  }

  #read<T>(read: () => T): T {
    this.#refuseDropped()
    return this.#environment.read(`the store of ${this.#name}`, read)
  }

  async #write(work: () => void): Promise<void> {
    this.#refuseDropped()
    await this.#environment.write(`the store of ${this.#name}`, work)
  }

  #refuseDropped(): void {
    if (this.#dropped) throw new Retryable('store_dropped', `the store of ${this.#name} was removed: open it again`)
  }
}

/** LMDB would refuse such a key in the middle of a write. */
function refuseLongKeys(name: string, { changes, inputs }: StoreBatch): void {
  const keys = changes.flatMap(({ key, after }) => [key, ...(after?.timers ?? []).map(timer => `${key}\0${timer.name}`)])
  for (const key of [...keys, ...inputs.keys()]) {
    if (Buffer.byteLength(key) <= MAX_KEY_BYTES) continue
    throw new Fatal(
      'key_too_long',
      `the store of ${name} takes keys of up to ${MAX_KEY_BYTES} bytes, not "${key.slice(0, 100)}…"`,
    )
  }
}

/** Null if it cannot be read: the store is then rebuilt from the changelog. */
function parseCheckpoint(text: string): Checkpoint | null {
  try {
    const found = JSON.parse(text) as Partial<Checkpoint> | null
    const { changelog, position, logId, at, stop } = found ?? {}
    const whole =
      [changelog, position].every(Number.isSafeInteger) && Number.isFinite(at) && typeof logId === 'string' && stop !== undefined
    return whole ? (found as Checkpoint) : null
  } catch {
    return null
  }
}
