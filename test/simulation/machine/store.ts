/** The state store of one task on a machine's disk: what it holds is what the disk's journal says. */
import { MemoryStore, type Checkpoint, type DueTimer, type StateStore, type StoreBatch } from '../../../engine/store.ts'
import type { Disk } from './disk.ts'

export class SimulatedStore implements StateStore {
  readonly #disk: Disk
  readonly #name: string
  readonly id: string
  held: MemoryStore
  /** Keys whose bytes cannot be read back. */
  readonly damaged = new Set<string>()

  constructor(disk: Disk, name: string) {
    this.#disk = disk
    this.#name = name
    this.id = disk.id
    this.held = new MemoryStore(this.id)
  }

  get(key: string): Buffer | null {
    this.#disk.reads()
    const bytes = this.held.get(key)
    return bytes !== null && this.damaged.has(key) ? bytes.subarray(0, bytes.length - 1) : bytes
  }
  input(key: string): Buffer | null {
    this.#disk.reads()
    return this.held.input(key)
  }
  checkpoint(): Checkpoint | null {
    this.#disk.reads()
    return this.held.checkpoint()
  }
  schemas(): Iterable<string> {
    this.#disk.reads()
    return this.held.schemas()
  }
  due(now: number, limit: number): DueTimer[] {
    this.#disk.reads()
    return this.held.due(now, limit)
  }
  nextDue(): number | null {
    this.#disk.reads()
    return this.held.nextDue()
  }
  open(): string[] {
    this.#disk.reads()
    return this.held.open()
  }

  write(batch: StoreBatch): Promise<void> {
    return this.#disk.write(async () => {
      this.#disk.journal.push({ store: this.#name, batch })
      for (const { key } of batch.changes) this.damaged.delete(key)
      await this.held.write(batch)
    })
  }

  wipe(): Promise<void> {
    return this.#disk.write(async () => {
      if (this.#disk.wipeFails) throw new Error('MDB_MAP_FULL: it cannot be wiped')
      this.#disk.journal.push({ store: this.#name, batch: null })
      this.damaged.clear()
      await this.held.wipe()
    })
  }

  markSent(attempt: string): void {
    this.#disk.markSent(attempt)
  }
  wasSent(attempt: string): boolean {
    return this.#disk.wasSent(attempt)
  }
  clearSent(attempts: readonly string[]): void {
    this.#disk.clearSent(attempts)
  }
}
