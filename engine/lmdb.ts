/**
 * The state stores of a process on LMDB: one environment in one folder, so that all tasks share one write transaction. The folder
 * belongs to one process, which takes its lock before it touches anything else in it.
 *
 *   lmdb/         about: its owner     <actor>/<partition>/values, inputs, …: the databases of a task
 *   left          attempts that may have been sent
 *   stores.json   which boot wrote lmdb/, and how far each task had come
 *   lock
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Lock, lockFile } from '../topics/lock.ts'
import { LogError } from '../topics/log.ts'
import { bootId } from './boot.ts'
import { Boots } from './boots.ts'
import { Environment } from './environment.ts'
import { Fatal, messageOf, Retryable } from './errors.ts'
import { DATABASES, LmdbStore, putExtent } from './lmdb-store.ts'
import { extentText, parseExtent, SentMarks } from './sent-marks.ts'
import type { StateStore, StateStores } from './store.ts'

/** Tasks that one environment has room for. */
const MAX_TASKS = 140
const MAX_DATABASES = MAX_TASKS * DATABASES.length + 1

export class LmdbStores implements StateStores {
  readonly #folder: string
  readonly #lock: Lock
  readonly #environment: Environment
  readonly #sentMarks: SentMarks
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
      const { id, sentMarks } = identify(environment, join(folder, 'left'), `${boot} ${placeOf(lock)}`)
      this.#environment = environment
      this.#id = id
      this.#sentMarks = sentMarks
    } catch (error) {
      void environment?.close(null).catch(() => {}) // the first error is the one to report
      this.#lock.release()
      throw error
    }
  }

  /**
   * Opens the stores in this folder.
   * @param boot id of the present boot of the machine
   * @throws {Fatal} `locked` if a process has them open, naming it; `store` if they cannot be opened, naming the folder
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
      store = new LmdbStore(this.#environment, name, this.#id, this.#sentMarks, this.#boots)
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

  /** Marks of its attempts stay. A reference to the store that is still held cannot be used any more. */
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
      const whole = await this.#environment.close(() => putExtent(this.#environment, this.#sentMarks))
      await this.#boots.end(whole)
      this.#sentMarks.close()
    } finally {
      this.#lock.release()
    }
  }

  #refuseClosed(): void {
    if (this.#closed !== null) throw new Fatal('closed', `the state stores in ${this.#folder} are closed`)
  }
}

/**
 * The owner of attempts that are started here. After a restart in the same folder and the same boot of the machine it is the same,
 * provided that the marks are those it wrote; otherwise it is a new one.
 */
function identify(environment: Environment, file: string, where: string): { id: string; sentMarks: SentMarks } {
  const { about } = environment
  const id = about.get('owner')
  if (id !== undefined && about.get('where') === where) {
    const sentMarks = SentMarks.open(file, id, parseExtent(about.get('notes')) ?? { epoch: 0, bytes: 0 })
    if (sentMarks !== null) return { id, sentMarks }
  }
  // The new id comes first: marks of an id that belongs to no owner are never trusted.
  const made = randomUUID()
  environment.root.transactionSync(() => {
    about.put('owner', made)
    about.put('where', where)
    about.put('notes', extentText({ epoch: 0, bytes: 0 }))
  })
  return { id: made, sentMarks: SentMarks.create(file, made) }
}

/** Identity of the lock file, which is never rewritten: in a copy of the folder it differs. */
function placeOf(lock: string): string {
  const { ino, birthtimeNs } = statSync(lock, { bigint: true })
  return `${ino}.${birthtimeNs}`
}
