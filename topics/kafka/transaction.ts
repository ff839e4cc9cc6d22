/** A transaction of a member, as its worker sees it. */
import { type Append, type Assignment, partitionKey, type Position, type Transaction } from '../log.ts'
import type { Outbox } from './outbox.ts'

type Commit = (outbox: Outbox, offsets: readonly Position[]) => Promise<Map<string, number>>

/** Gathered in memory; sent by its commit. */
export class KafkaTransaction implements Transaction {
  readonly #assignment: Assignment
  readonly #outbox: Outbox
  readonly #commit: Commit
  readonly #offsets = new Map<string, Position>()
  #state: 'open' | 'committing' | 'ended' = 'open'

  constructor(assignment: Assignment, outbox: Outbox, commit: Commit) {
    this.#assignment = assignment
    this.#outbox = outbox
    this.#commit = commit
  }

  get ended(): boolean {
    return this.#state === 'ended'
  }

  append(record: Append): void {
    this.#checkOpen()
    this.#outbox.add(record)
  }

  offsets(positions: readonly Position[]): void {
    this.#checkOpen()
    for (const position of positions) {
      const key = partitionKey(position)
      if (!this.#assignment.partitions.some(p => partitionKey(p) === key))
        throw new Error(`${key} is not of the assignment that the transaction was begun with`)
      this.#offsets.set(key, position)
    }
  }

  async commit(): Promise<Map<string, number>> {
    this.#checkOpen()
    this.#state = 'committing'
    try {
      if (this.#offsets.size === 0) throw new Error('every transaction commits at least one input offset: it is the fence')
      return await this.#commit(this.#outbox, [...this.#offsets.values()])
    } finally {
      this.#state = 'ended'
    }
  }

  /** Nothing has been sent yet. */
  async abort(): Promise<void> {
    if (this.#state === 'committing') throw new Error('the transaction is being committed; it cannot be aborted any more')
    this.#state = 'ended'
  }

  #checkOpen(): void {
    if (this.#state !== 'open') throw new Error('the transaction has ended; begin another')
  }
}
