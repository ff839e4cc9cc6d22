/** A transaction of one worker, as the drivers have them: one at a time, and after one that failed the fence comes first. */
import { type Append, type Assignment, LogError, type Position, type Transaction } from '../../../topics/log.ts'
import { TransactionSequence, type TransactionTarget } from '../../../topics/transaction.ts'
import type { Life } from '../scheduler.ts'
import { checkSize, type Cluster } from './cluster.ts'

export class Producer {
  readonly #cluster: Cluster
  readonly #life: Life
  readonly #instance: string
  #epoch = 0
  readonly #transactions = new TransactionSequence()
  /** A commit has failed since the last fence. */
  #failed = false

  constructor(cluster: Cluster, life: Life, instance: string) {
    this.#cluster = cluster
    this.#life = life
    this.#instance = instance
  }

  async fence(): Promise<void> {
    await this.#completed()
    this.#epoch = await this.#cluster.scheduler.remote(this.#life, () => this.#cluster.fence(this.#instance))
    this.#failed = false
  }

  begin(assignment: Assignment): Transaction {
    if (this.#failed) throw new LogError('fenced', 'a transaction has failed; fence first')
    const { scheduler, odds } = this.#cluster
    if (scheduler.random.chance(odds.brokenTransactions)) throw new LogError('unavailable', 'no transaction can be begun')
    const breaksAt = scheduler.random.chance(odds.brokenTransactions) ? scheduler.random.below(4) : Number.POSITIVE_INFINITY
    const appends: Append[] = []
    const made = new Map<Position, number>()
    const check = () => {
      for (const [position, then] of made)
        if (this.#cluster.partition(position).made !== then) throw new LogError('unknown', `${position.topic} was made again`)
    }
    const target: TransactionTarget = {
      append: record => {
        checkSize(record)
        this.#cluster.where(record)
        if (appends.length >= breaksAt) throw new LogError('unavailable', 'the transaction takes no record')
        appends.push(record)
      },
      commit: offsets => this.#commit(assignment, appends, offsets, check),
    }
    const transaction = this.#watched(() => this.#transactions.begin(assignment, target))
    return {
      append: record => this.#watched(() => transaction.append(record)),
      offsets: positions => {
        if (breaksAt < Number.POSITIVE_INFINITY) throw new LogError('unavailable', 'the transaction takes no offsets')
        this.#watched(() => transaction.offsets(positions))
        for (const position of positions) made.set(position, this.#cluster.partition(position).made)
      },
      abort: async () => {
        await transaction.abort()
        if (appends.length > 0 && scheduler.random.chance(0.5)) this.#cluster.waste(appends)
      },
      commit: () => transaction.commit(),
    }
  }

  /** The log refuses with a `LogError`; any other error is a mistake of the engine. */
  #watched<T>(call: () => T): T {
    try {
      return call()
    } catch (error) {
      if (!(error instanceof LogError)) this.#cluster.violations.push(`${this.#life.name}: ${(error as Error).message}`)
      throw error
    }
  }

  async #commit(
    assignment: Assignment,
    appends: readonly Append[],
    offsets: readonly Position[],
    check: () => void,
  ): Promise<Map<string, number>> {
    const { scheduler, odds } = this.#cluster
    const { random } = scheduler
    const epoch = this.#epoch
    const life = this.#life
    try {
      await this.#completed()
      const commit = () => {
        check()
        return this.#cluster.commit(life, this.#instance, epoch, assignment, appends, offsets)
      }
      const stalls = random.chance(odds.stalls)
      if (stalls) this.#cluster.onStall(life)
      if (!random.chance(odds.unknownCommits)) {
        return await scheduler.remote(life, commit, stalls ? 12_000 : 3)
      }
      // Nobody hears what became of it: it arrives late, or never.
      if (random.chance(0.6)) {
        scheduler.at(random.below(3_000), null, () => {
          try {
            commit()
          } catch (error) {
            if (!(error instanceof LogError)) throw error // refused: as if it had never come
          }
        })
      }
      await scheduler.sleep(random.below(1_000), life)
      throw new LogError('unknown', 'no answer to a commit')
    } catch (error) {
      this.#failed = true
      throw error
    }
  }

  /** The markers of what it decided before are at their places. */
  async #completed(): Promise<void> {
    while (this.#cluster.completing(this.#instance)) await this.#cluster.scheduler.sleep(5, this.#life)
  }
}
