/**
 * The state stores of a process on LMDB: one environment in one folder, so that what all tasks write at a time is one
 * transaction. The folder belongs to one process, which holds its lock before it touches anything else in it.
 *
 *   lmdb/         about: whose it is     <actor>/<partition>/values, inputs, …: a task's databases
 *   left          notes: attempts that have left
 *   stores.json   which boot wrote lmdb/, and how far each task was
 *   lock
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Database } from 'lmdb'
import { type Lock, lockFile } from '../topics/lock.ts'
import { LogError } from '../topics/log.ts'
import { bootId } from './boot.ts'
import { Boots } from './boots.ts'
import { Environment } from './environment.ts'
import { Fatal, messageOf, Retryable } from './errors.ts'
import { extentText, SentMarks, parseExtent } from './sent-marks.ts'
import {
  type Checkpoint,
  type DueTimer,
  indexChanges,
  MAX_KEY_BYTES,
  type StateStore,
  type StateStores,
  type StoreBatch,
} from './store.ts'

/** Databases of one task; an environment has room for about 140 tasks. */
const DATABASES = ['values', 'inputs', 'timers', 'open', 'meta', 'schemas'] as const
const MAX_DATABASES = 140 * DATABASES.length + 1

export class LmdbStores implements StateStores {
  readonly #folder: string
  readonly #lock: Lock
  readonly #environment: Environment
  readonly #notes: SentMarks
  readonly #boots: Boots
  readonly #id: string
  readonly #open = new Map<string, LmdbStore>()
  readonly #dropping = new Set<string>()
  #closed: Promise<void> | null = null

  private constructor(folder: string, boot: string) {
    this.#folder = folder
    const lock = join(folder, 'lock')
    this.#lock = lockFile(lock)
    let environment: Environment | undefined
    try {
      this.#boots = new Boots(folder, boot)
      if (!this.#boots.trusted) rmSync(join(folder, 'lmdb'), { recursive: true, force: true })
      this.#boots.begin()
      environment = new Environment(folder, MAX_DATABASES, this.#boots.synced)
      const { id, notes } = identify(environment, join(folder, 'left'), `${boot} ${placeOf(lock)}`)
      this.#environment = environment
      this.#id = id
      this.#notes = notes
    } catch (error) {
      void environment?.close(null).catch(() => {}) // the error is the one that counts
      this.#lock.release()
      throw error
    }
  }

  /**
   * Opens the stores in this folder.
   * @param boot which boot of the machine this is
   * @throws {Fatal} `locked` when a process has them open, naming it; `store` when they cannot be opened, naming the folder
   */
  static open(folder: string, boot = bootId()): LmdbStores {
    try {
      mkdirSync(folder, { recursive: true })
      return new LmdbStores(folder, boot)
    } catch (error) {
      const code = error instanceof LogError && error.code === 'locked' ? 'locked' : 'store'
      throw new Fatal(code, `the state stores in ${folder} cannot be opened: ${messageOf(error)}`, { cause: error })
    }
  }

  store(actor: string, partition: number): StateStore {
    this.#refuseClosed()
    const name = `${actor}/${partition}`
    if (this.#dropping.has(name)) throw new Retryable('store_open', `the store of ${name} is being removed`)
    let store = this.#open.get(name)
    if (store === undefined) {
      store = new LmdbStore(this.#environment, name, this.#id, this.#notes, this.#boots)
      this.#open.set(name, store)
    }
    return store
  }

  list(): { readonly actor: string; readonly partition: number }[] {
    this.#refuseClosed()
    const tasks = new Map<string, { actor: string; partition: number }>()
    for (const name of this.#environment.names()) {
      const [, task, actor, partition] = /^((.+)\/(\d+))\/[a-z]+$/.exec(name) ?? []
      if (task !== undefined && actor !== undefined) tasks.set(task, { actor, partition: Number(partition) })
    }
    return [...tasks.values()]
  }

  /** What is noted of its attempts stays. Whoever still has the store cannot use it any more. */
  async drop(actor: string, partition: number): Promise<void> {
    if (!this.list().some(task => task.actor === actor && task.partition === partition)) return
    this.store(actor, partition) // opens it, or finds it open
    const name = `${actor}/${partition}`
    const store = this.#open.get(name)
    this.#open.delete(name)
    this.#dropping.add(name)
    try {
      await store?.drop()
    } finally {
      this.#dropping.delete(name)
    }
  }

  /** Before the process exits: an exit with LMDB open can hang. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    try {
      const whole = await this.#environment.close(() => putMark(this.#environment, this.#notes))
      await this.#boots.end(whole)
      this.#notes.close()
    } finally {
      this.#lock.release()
    }
  }

  #refuseClosed(): void {
    if (this.#closed !== null) throw new Fatal('closed', `the state stores in ${this.#folder} are closed`)
  }
}

/**
 * Who this is. A restart in the same folder and the same boot of the machine is the same owner, provided that the notes are
 * those it wrote; all else is another.
 */
function identify(environment: Environment, notesFile: string, where: string): { id: string; notes: SentMarks } {
  const { about } = environment
  const id = about.get('owner')
  if (id !== undefined && about.get('where') === where) {
    const notes = SentMarks.open(notesFile, id, parseExtent(about.get('notes')) ?? { epoch: 0, bytes: 0 })
    if (notes !== null) return { id, notes }
  }
  // The new id comes first: notes of an id that is nobody's are never trusted.
  const made = randomUUID()
  environment.root.transactionSync(() => {
    about.put('owner', made)
    about.put('where', where)
    about.put('notes', extentText({ epoch: 0, bytes: 0 }))
  })
  return { id: made, notes: SentMarks.create(notesFile, made) }
}

/** Of a file that is never written anew: a copy of the folder has another. */
function placeOf(lock: string): string {
  const { ino, birthtimeNs } = statSync(lock, { bigint: true })
  return `${ino}.${birthtimeNs}`
}

function putMark({ about }: Environment, notes: SentMarks): void {
  about.put('notes', extentText(notes.extent))
}

type TimerKey = [at: number, key: string, name: string]

class LmdbStore implements StateStore {
  readonly id: string
  readonly #name: string
  readonly #environment: Environment
  readonly #notes: SentMarks
  readonly #boots: Boots
  readonly #values: Database<Buffer, string>
  readonly #inputs: Database<Buffer, string>
  readonly #timers: Database<string, TimerKey>
  readonly #open: Database<string, string>
  readonly #meta: Database<string, string>
  readonly #schemas: Database<string, string>
  #dropped = false

  constructor(environment: Environment, name: string, id: string, notes: SentMarks, boots: Boots) {
    this.id = id
    this.#name = name
    this.#environment = environment
    this.#notes = notes
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
    const stand = JSON.stringify(checkpoint)
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
      this.#meta.put('checkpoint', stand)
      putMark(this.#environment, this.#notes)
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
    this.#notes.add(attempt)
  }

  wasSent(attempt: string): boolean {
    return this.#notes.has(attempt)
  }

  clearSent(attempts: readonly string[]): void {
    for (const attempt of attempts) this.#notes.delete(attempt)
  }

  async wipe(): Promise<void> {
    await this.#write(() => {
      for (const database of [this.#values, this.#inputs, this.#timers, this.#open, this.#schemas]) database.clearAsync()
      this.#meta.remove('checkpoint')
    })
    this.#boots.forget(this.#name)
  }

  /** Removes its databases. Their handles may stand for those of another task afterwards. */
  async drop(): Promise<void> {
    const gone = this.#write(() => {
      for (const database of [this.#values, this.#inputs, this.#timers, this.#open, this.#meta, this.#schemas]) database.drop()
    })
    this.#dropped = true
    await gone
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
    if (this.#dropped) throw new Retryable('store_dropped', `the store of ${this.#name} was removed: open it anew`)
  }
}

/** A key that LMDB refuses would do so in the middle of a write. */
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

/** One that cannot be read is none: the store is then filled again from the changelog. */
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
