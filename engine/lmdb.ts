/**
 * The state store on LMDB: one folder a task, one environment, all of a batch in one transaction. Its folder belongs to one
 * process; a second is refused.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { type Database, open, type RootDatabase } from 'lmdb'
import { Fatal } from './errors.ts'
import { type Checkpoint, type DueTimer, indexChanges, type StateStore, type StoreBatch } from './store.ts'

type TimerKey = [at: number, key: string, name: string]

export class LmdbStore implements StateStore {
  readonly id: string
  readonly #root: RootDatabase<Buffer, string>
  readonly #values: Database<Buffer, string>
  readonly #inputs: Database<Buffer, string>
  readonly #timers: Database<string, TimerKey>
  readonly #open: Database<string, string>
  readonly #meta: Database<string, string>
  readonly #notes: Database<string, string>
  readonly #schemas: Database<string, string>

  private constructor(path: string) {
    this.#root = open<Buffer, string>({ path, maxDbs: 8, encoding: 'binary', cache: false })
    this.#values = this.#root.openDB<Buffer, string>({ name: 'values', encoding: 'binary' })
    this.#inputs = this.#root.openDB<Buffer, string>({ name: 'inputs', encoding: 'binary' })
    this.#timers = this.#root.openDB<string, TimerKey>({ name: 'timers', encoding: 'string' })
    this.#open = this.#root.openDB<string, string>({ name: 'open', encoding: 'string' })
    this.#meta = this.#root.openDB<string, string>({ name: 'meta', encoding: 'string' })
    this.#notes = this.#root.openDB<string, string>({ name: 'notes', encoding: 'string' })
    this.#schemas = this.#root.openDB<string, string>({ name: 'schemas', encoding: 'string' })
    this.id = this.#meta.get('id') ?? randomUUID()
    this.#meta.putSync('id', this.id)
  }

  /** Opens the store of a task in this folder. @throws {Fatal} `store` when it cannot be opened, naming the folder. */
  static open(folder: string): LmdbStore {
    try {
      mkdirSync(folder, { recursive: true })
      return new LmdbStore(folder)
    } catch (error) {
      throw new Fatal('store', `the state store in ${folder} cannot be opened: ${(error as Error).message}`, { cause: error })
    }
  }

  get(key: string): Buffer | null {
    return this.#values.get(key) ?? null
  }

  input(key: string): Buffer | null {
    return this.#inputs.get(key) ?? null
  }

  checkpoint(): Checkpoint | null {
    const kept = this.#meta.get('checkpoint')
    return kept === undefined ? null : (JSON.parse(kept) as Checkpoint)
  }

  *schemas(): Iterable<string> {
    for (const { value } of this.#schemas.getRange()) yield value
  }

  due(now: number, limit: number): DueTimer[] {
    const due: DueTimer[] = []
    for (const { key, value } of this.#timers.getRange({ end: [now + 1, '', ''], limit })) {
      due.push({ at: key[0], key: key[1], name: key[2], version: value })
    }
    return due
  }

  nextDue(): number | null {
    for (const key of this.#timers.getKeys({ limit: 1 })) return key[0]
    return null
  }

  open(): string[] {
    return [...this.#open.getKeys()]
  }

  async write({ changes, inputs, schemas, checkpoint }: StoreBatch): Promise<void> {
    await this.#root.batch(() => {
      for (const change of changes) {
        const { key, bytes } = change
        if (bytes === null) this.#values.remove(key)
        else this.#values.put(key, bytes)
        const { gone, come, opened, closed } = indexChanges(change)
        for (const { at, name } of gone) this.#timers.remove([at, key, name])
        for (const { at, name, version } of come) this.#timers.put([at, key, name], version)
        if (opened) this.#open.put(key, '')
        if (closed) this.#open.remove(key)
      }
      for (const [key, bytes] of inputs) {
        if (bytes === null) this.#inputs.remove(key)
        else this.#inputs.put(key, bytes)
      }
      for (const [fingerprint, text] of schemas) this.#schemas.put(fingerprint, text)
      this.#meta.put('checkpoint', JSON.stringify(checkpoint))
    })
  }

  note(attempt: string): void {
    this.#notes.putSync(attempt, '')
  }

  noted(attempt: string): boolean {
    return this.#notes.doesExist(attempt)
  }

  forget(attempts: readonly string[]): void {
    for (const attempt of attempts) void this.#notes.remove(attempt)
  }

  async wipe(): Promise<void> {
    for (const database of [this.#values, this.#inputs, this.#timers, this.#open, this.#schemas]) await database.clearAsync()
    await this.#meta.remove('checkpoint')
  }

  async close(): Promise<void> {
    await this.#root.flushed
    await this.#root.close()
  }
}
