/**
 * The state stores of a process on LMDB: one environment in one folder, so that what all tasks write at a time is one
 * transaction. The folder belongs to one process.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { Fatal } from './errors.ts'
import { Notes } from './notes.ts'
import { type Checkpoint, type DueTimer, indexChanges, type StateStore, type StoreBatch } from './store.ts'

/** Databases of one task; an environment has room for about 140 tasks. */
const DATABASES = 6
const MAX_DATABASES = 140 * DATABASES

export class LmdbStores {
  readonly #root: RootDatabase<Buffer, string>
  readonly #notes: Notes
  readonly #id: string

  private constructor(folder: string) {
    this.#root = open<Buffer, string>({ path: join(folder, 'lmdb'), maxDbs: MAX_DATABASES, encoding: 'binary', cache: false })
    this.#notes = Notes.open(join(folder, 'left'))
    const about = this.#root.openDB<string, string>({ name: 'about', encoding: 'string' })
    this.#id = about.get('id') ?? randomUUID()
    about.putSync('id', this.#id)
  }

  /** Opens the stores in this folder. @throws {Fatal} `store` when they cannot be opened, naming the folder. */
  static open(folder: string): LmdbStores {
    try {
      mkdirSync(folder, { recursive: true })
      return new LmdbStores(folder)
    } catch (error) {
      throw new Fatal('store', `the state stores in ${folder} cannot be opened: ${(error as Error).message}`, { cause: error })
    }
  }

  /** The store of a task. */
  store(actor: string, partition: number): StateStore {
    return new LmdbStore(this.#root, `${actor}/${partition}`, this.#id, this.#notes)
  }

  /** Before the process exits: an exit with LMDB open can hang. */
  async close(): Promise<void> {
    this.#notes.close()
    await this.#root.flushed
    await this.#root.close()
  }
}

type TimerKey = [at: number, key: string, name: string]

class LmdbStore implements StateStore {
  readonly id: string
  readonly #root: RootDatabase<Buffer, string>
  readonly #notes: Notes
  readonly #values: Database<Buffer, string>
  readonly #inputs: Database<Buffer, string>
  readonly #timers: Database<string, TimerKey>
  readonly #open: Database<string, string>
  readonly #meta: Database<string, string>
  readonly #schemas: Database<string, string>

  constructor(root: RootDatabase<Buffer, string>, name: string, id: string, notes: Notes) {
    this.id = id
    this.#root = root
    this.#notes = notes
    this.#values = root.openDB<Buffer, string>({ name: `${name}/values`, encoding: 'binary' })
    this.#inputs = root.openDB<Buffer, string>({ name: `${name}/inputs`, encoding: 'binary' })
    this.#timers = root.openDB<string, TimerKey>({ name: `${name}/timers`, encoding: 'string' })
    this.#open = root.openDB<string, string>({ name: `${name}/open`, encoding: 'string' })
    this.#meta = root.openDB<string, string>({ name: `${name}/meta`, encoding: 'string' })
    this.#schemas = root.openDB<string, string>({ name: `${name}/schemas`, encoding: 'string' })
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
    this.#notes.add(attempt)
  }

  noted(attempt: string): boolean {
    return this.#notes.has(attempt)
  }

  forget(attempts: readonly string[]): void {
    for (const attempt of attempts) this.#notes.delete(attempt)
  }

  async wipe(): Promise<void> {
    for (const database of [this.#values, this.#inputs, this.#timers, this.#open, this.#schemas]) await database.clearAsync()
    await this.#meta.remove('checkpoint')
  }
}
