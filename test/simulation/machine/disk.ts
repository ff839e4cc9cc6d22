/**
 * A machine's disk: one folder with the stores of its tasks and the notes. A process that ends leaves it as it is. When the power
 * fails, notes that were not synced are gone, and the stores too, but for how far their tasks were at an older moment; or the stores
 * fall back to that moment, all of them, as those of an earlier version. Whoever comes up then is another owner.
 */
import { MemoryStore, type StateStore, type StoreBatch } from '../../../engine/store.ts'
import type { TopicPartition } from '../../../topics/log.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Life } from '../scheduler.ts'
import { SimulatedStore } from './store.ts'

interface Entry {
  readonly store: string
  /** Null: the store was wiped. */
  readonly batch: StoreBatch | null
}

export class Disk {
  readonly #cluster: Cluster
  readonly #machine: string
  life: Life
  #boots = 0
  #stores = new Map<string, SimulatedStore>()
  journal: Entry[] = []
  #synced = 0
  #notes: string[] = []
  #notesSynced = 0
  #readsToFail = 0
  /** Chance that a read of a store fails. */
  readsFail = 0
  /** Chance that a write to a store fails, and leaves nothing. */
  writesFail = 0
  notesFail = false
  opensFail = false
  wipeFails = false
  /** Writes wait. */
  hangs = false

  constructor(cluster: Cluster, machine: string, life: Life) {
    this.#cluster = cluster
    this.#machine = machine
    this.life = life
  }

  /** Who writes here: this folder, in this boot of the machine. */
  get id(): string {
    return `${this.#machine}/${this.#boots}`
  }

  async open(actor: string, partition: number): Promise<StateStore> {
    const { life } = this
    await this.#cluster.scheduler.sleep(0, life)
    if (this.opensFail) throw new Error('ENOSPC: the store cannot be opened')
    const name = `${actor}/${partition}`
    const store = this.#stores.get(name) ?? new SimulatedStore(this, name)
    this.#stores.set(name, store)
    return store
  }

  /** The power fails. */
  async loseUnsynced(): Promise<void> {
    const { random } = this.#cluster.scheduler
    this.#boots += 1
    this.journal = this.journal.slice(0, this.#synced + random.below(this.journal.length - this.#synced + 1))
    this.#notes = this.#notes.slice(0, this.#notesSynced + random.below(this.#notes.length - this.#notesSynced + 1))
    this.#stores = new Map([...this.#stores.keys()].map(name => [name, new SimulatedStore(this, name)]))
    for (const { store, batch } of this.journal) {
      const held = this.#stores.get(store)?.held as MemoryStore
      await (batch === null ? held.wipe() : held.write(batch))
    }
    if (random.chance(0.5)) return
    for (const [store, { held }] of this.#stores) {
      const checkpoint = held.checkpoint()
      if (checkpoint === null) continue
      const batch: StoreBatch = { changes: [], inputs: new Map(), schemas: new Map(), checkpoint: { ...checkpoint, lost: true } }
      await held.wipe()
      await held.write(batch)
      this.journal.push({ store, batch: null }, { store, batch })
    }
    this.#synced = this.journal.length
  }

  /** Somebody removes the store of a task that runs elsewhere. */
  remove({ topic, partition }: TopicPartition): void {
    const name = `${topic.replace(/\.inbox$/, '')}/${partition}`
    this.journal = this.journal.filter(entry => entry.store !== name)
    this.#synced = Math.min(this.#synced, this.journal.length)
    const store = this.#stores.get(name)
    if (store !== undefined) store.held = new MemoryStore(this.id)
  }

  sync(): void {
    this.#synced = this.journal.length
    this.#notesSynced = this.#notes.length
  }

  stores(): SimulatedStore[] {
    return [...this.#stores.values()]
  }

  heal(): void {
    this.readsFail = 0
    this.writesFail = 0
    this.notesFail = false
    this.opensFail = false
    this.wipeFails = false
    this.hangs = false
    this.#readsToFail = 0
    for (const store of this.stores()) store.damaged.clear()
  }

  // For its stores

  failNextRead(): void {
    this.#readsToFail += 1
  }

  reads(): void {
    if (this.#readsToFail > 0) {
      this.#readsToFail -= 1
      throw new Error('MDB_CORRUPTED: a page could not be read once')
    }
    if (this.readsFail > 0 && this.#cluster.scheduler.random.chance(this.readsFail))
      throw new Error('MDB_PAGE_NOTFOUND: a page cannot be read')
  }

  async write(work: () => Promise<void>): Promise<void> {
    const { scheduler, odds } = this.#cluster
    const { random } = scheduler
    const { life } = this
    await scheduler.sleep(random.chance(odds.stalls) ? random.below(12_000) : 0, life)
    while (this.hangs) await scheduler.sleep(100, life)
    if (random.chance(this.writesFail)) throw new Error('ENOSPC: nothing of a batch was written')
    await work()
    await scheduler.sleep(0, life)
  }

  markSent(attempt: string): void {
    if (this.notesFail) throw new Error('ENOSPC: nothing can be noted')
    this.#notes.push(`+${attempt}`)
  }
  wasSent(attempt: string): boolean {
    const last = this.#notes.findLast(line => line.slice(1) === attempt)
    return last?.startsWith('+') ?? false
  }
  clearSent(attempts: readonly string[]): void {
    for (const attempt of attempts) if (this.wasSent(attempt)) this.#notes.push(`-${attempt}`)
  }
}
