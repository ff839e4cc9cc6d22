/**
 * Transactions as a worker sees them: gathered in memory, sent by their commit, one open at a time. Both drivers share the rules
 * that hold on any log; a driver says where records go and how a commit is made.
 */
import { type Append, type Assignment, partitionKey, type Position, type Transaction } from './log.ts'

/** What a driver does with a transaction. */
export interface TransactionTarget {
  /** Takes a record for the commit. @throws {LogError} `no_topic`, `too_large` */
  append(record: Append): void
  /** All of it or nothing, with the last offset appended per partition. @throws {LogError} as `Transaction.commit` says */
  commit(offsets: readonly Position[]): Promise<Map<string, number>>
}

/** Begins the transactions of one member, one after the other. */
export class TransactionSequence {
  #open: BufferedTransaction | null = null

  /** @throws {Error} while another one is open */
  begin(assignment: Assignment, target: TransactionTarget): Transaction {
    if (this.#open !== null && !this.#open.ended)
      throw new Error(`group "${assignment.group}": a transaction is open; commit or abort it first`)
    this.#open = new BufferedTransaction(assignment, target)
    return this.#open
  }
}

class BufferedTransaction implements Transaction {
  readonly #assignment: Assignment
  readonly #target: TransactionTarget
  readonly #offsets = new Map<string, Position>()
  #state: 'open' | 'committing' | 'ended' = 'open'

  constructor(assignment: Assignment, target: TransactionTarget) {
    this.#assignment = assignment
    this.#target = target
  }

  get ended(): boolean {
    return this.#state === 'ended'
  }

  append(record: Append): void {
    this.#checkOpen()
    this.#target.append(record)
  }

  offsets(positions: readonly Position[]): void {
    this.#checkOpen()
    for (const position of positions) {
      const key = partitionKey(position)
      if (!this.#assignment.partitions.some(p => partitionKey(p) === key))
        throw new Error(`${key} is not in the assignment that the transaction was begun with`)
      this.#offsets.set(key, position)
    }
  }

  async commit(): Promise<Map<string, number>> {
    this.#checkOpen()
    this.#state = 'committing'
    try {
      if (this.#offsets.size === 0) throw new Error('a transaction must commit at least one input offset: it is the fence')
      return await this.#target.commit([...this.#offsets.values()])
    } finally {
      this.#state = 'ended'
    }
  }

  /** Nothing has been sent yet. */
  async abort(): Promise<void> {
    if (this.#state === 'committing') throw new Error('the transaction is being committed and can no longer be aborted')
    this.#state = 'ended'
  }

  #checkOpen(): void {
    if (this.#state !== 'open') throw new Error('the transaction has ended; begin another')
  }
}
