/** What a worker does for the stores of its tasks between cycles, and for offsets that no record commits. */
import type { Clock } from '../clock.ts'
import type { Task } from '../task.ts'
import type { Tasks } from '../tasks.ts'

/** Bytes that may wait to be written to the state stores, of all tasks, approximately. */
const MAX_PENDING_WRITE_BYTES = 32 * 1024 * 1024
/** A store that does not catch up within this time hangs. */
const STORE_WAIT_MS = 1_000
const SWEEP_INTERVAL_MS = 60_000
/** Records that change nothing are not worth a transaction of their own. */
const PASS_INTERVAL_MS = 1_000

export class Housekeeping {
  readonly #clock: Clock
  readonly #tasks: Tasks
  #sweptAt: number
  #passedAt = 0

  constructor(clock: Clock, tasks: Tasks) {
    this.#clock = clock
    this.#tasks = tasks
    this.#sweptAt = clock.mono()
  }

  /** Writes what is committed to the stores of all tasks at once, so that it is one write for them; what is urgent is written alone. */
  flush(): void {
    const tasks = this.#tasks.assigned.running()
    const mono = this.#clock.mono()
    const waiting = tasks.reduce((bytes, { writer }) => bytes + writer.bytes, 0)
    const all = waiting >= MAX_PENDING_WRITE_BYTES || tasks.some(({ writer }) => writer.due(mono))
    for (const { writer } of tasks) if (all || writer.urgent) writer.flush()
  }

  /** Waits for a store that is behind; if it does not catch up soon, only its partition waits. */
  async waitForStore(task: Task): Promise<void> {
    if (!task.writer.behind(this.#clock.mono())) return
    const caughtUp = new AbortController()
    const written = task.writer.written().then(() => caughtUp.abort())
    await Promise.race([written, this.#clock.sleep(STORE_WAIT_MS, caughtUp.signal)])
    if (!task.writer.behind(this.#clock.mono())) return
    this.#tasks.recovery.hold(
      task,
      'its store is behind',
      () => task.writer.written(),
      () => false,
    )
  }

  /** Has offsets committed of which nothing was kept, and once a minute removes stores of tasks that live elsewhere. */
  tidy(): void {
    const now = this.#clock.mono()
    if (now - this.#passedAt < PASS_INTERVAL_MS) return
    this.#passedAt = now
    const sweeps = now - this.#sweptAt >= SWEEP_INTERVAL_MS
    for (const task of this.#tasks.assigned.running()) task.pass(sweeps)
    if (!sweeps) return
    this.#sweptAt = now
    this.#tasks.stores.sweep()
  }
}
