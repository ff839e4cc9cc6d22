/**
 * Health of the workers of this process, for `/readyz`.
 *
 *   down      a worker makes no progress: it has no assignment, its cycles fail, or no task of an actor runs; or a task is not running
 *             that should start by itself: its store is not open, or it is still restoring
 *   degraded  tasks are halted until an operator decides, or wait for a schema or a leader, while others of their actor run: taking the
 *             service out of rotation for them would cause an outage, and no restart fixes them; or a failure has only just begun
 */
import type { TaskStatus, WorkerStatus } from '../engine/worker.ts'
import { partitionKey } from '../topics/log.ts'
import type { DependencyStatus } from './health.ts'

/** A failure may be transient for this long: a failed transaction, a rebalance. */
const GRACE_MS = 5_000
/** How often the beginning of failures is checked for. */
const CHECK_MS = 500
const MAX_LISTED = 10
const MAX_CAUSE_CHARS = 200

interface Trouble {
  readonly text: string
  readonly status: 'down' | 'degraded'
}

export class WorkerHealth {
  readonly #status: () => WorkerStatus
  readonly #now: () => number
  /** When a failure began, monotonic ms, by what failed. */
  readonly #since = new Map<string, number>()
  /** What has been healthy since it was assigned. */
  readonly #wasHealthy = new Set<string>()
  readonly #timer: NodeJS.Timeout

  /** @param now monotonic ms */
  constructor(status: () => WorkerStatus, now: () => number = () => performance.now()) {
    this.#status = status
    this.#now = now
    this.#timer = setInterval(() => this.check(), CHECK_MS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  check(): DependencyStatus {
    const status = this.#status()
    const { tasks } = status
    if (status.assigned) this.#forgetAllBut(tasks)
    const troubles = [
      ...this.#ofWorker(status),
      ...stoppedActors(tasks),
      ...tasks.filter(isStopped).map(task => trouble('degraded', task, `halted: ${causeOf(task)}`)),
      ...tasks.filter(task => !isStopped(task)).flatMap(task => this.#ofTask(task, tasks)),
    ]
    const running = tasks.filter(runs).length
    const said = [`${running} of ${tasks.length} tasks running (${partitionList(tasks)})`, ...listed(troubles)]
    const isDown = troubles.some(t => t.status === 'down')
    return { status: isDown ? 'down' : troubles.length > 0 ? 'degraded' : 'up', detail: said.join('; ') }
  }

  #ofWorker({ assigned, failing, cycleAgeMs }: WorkerStatus): Trouble[] {
    const unassigned = this.#judge('assignment', assigned)
    const troubles: Trouble[] = unassigned === null ? [] : [{ status: unassigned, text: 'no tasks assigned by the group yet' }]
    const age = `last success ${(cycleAgeMs / 1000).toFixed(1)} s ago`
    const status = cycleAgeMs > GRACE_MS ? 'down' : 'degraded'
    if (failing !== null) troubles.push({ status, text: `cycles fail, ${age}: ${short(failing)}` })
    else if (status === 'down') troubles.push({ status, text: `cycles do not complete, ${age}` })
    return troubles
  }

  #ofTask(task: TaskStatus, of: readonly TaskStatus[]): Trouble[] {
    const status = this.#judge(partitionKey(task), runs(task))
    if (status === null) return []
    const what = task.waits === null ? `is ${task.state}` : task.state === 'RUNNING' ? 'waits' : `is ${task.state}, waits`
    // A running task that waits, such as for a schema or a leader, is retried while the others run.
    const isRetried = task.state === 'RUNNING' && of.some(other => other.actor === task.actor && runs(other))
    return [trouble(isRetried ? 'degraded' : status, task, task.waits === null ? what : `${what}: ${short(task.waits)}`)]
  }

  /** Null while healthy; `degraded` during the grace period after it was. */
  #judge(what: string, healthy: boolean): Trouble['status'] | null {
    if (healthy) {
      this.#wasHealthy.add(what)
      this.#since.delete(what)
      return null
    }
    const now = this.#now()
    const since = this.#since.get(what) ?? now
    this.#since.set(what, since)
    return this.#wasHealthy.has(what) && now - since <= GRACE_MS ? 'degraded' : 'down'
  }

  /** A task that is assigned again starts without history. */
  #forgetAllBut(tasks: readonly TaskStatus[]): void {
    const kept = new Set(['assignment', ...tasks.map(partitionKey)])
    for (const known of [...this.#wasHealthy, ...this.#since.keys()]) {
      if (kept.has(known)) continue
      this.#wasHealthy.delete(known)
      this.#since.delete(known)
    }
  }
}

export function isStopped({ state, stopped }: TaskStatus): boolean {
  return state === 'STOPPED' || stopped !== null
}

function runs(task: TaskStatus): boolean {
  return task.state === 'RUNNING' && task.waits === null && !isStopped(task)
}

/** Actors whose tasks here are all halted. */
function stoppedActors(tasks: readonly TaskStatus[]): Trouble[] {
  return [...Map.groupBy(tasks, task => task.actor)]
    .filter(([, of]) => of.every(isStopped))
    .map(([actor]) => ({ status: 'down', text: `all tasks of the actor "${actor}" are halted` }))
}

function causeOf({ stopped }: TaskStatus): string {
  return short(stopped ?? 'cause unknown')
}

function trouble(status: Trouble['status'], task: TaskStatus, text: string): Trouble {
  return { status, text: `${partitionKey(task)} ${text}` }
}

/** The most severe first, up to a limit. */
function listed(troubles: readonly Trouble[]): string[] {
  const sorted = [...troubles.filter(t => t.status === 'down'), ...troubles.filter(t => t.status === 'degraded')]
  const more = sorted.length - MAX_LISTED
  return [...sorted.slice(0, MAX_LISTED).map(t => t.text), ...(more > 0 ? [`and ${more} more`] : [])]
}

function short(text: string): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length > MAX_CAUSE_CHARS ? `${line.slice(0, MAX_CAUSE_CHARS - 1)}…` : line
}

/** The partitions of a worker: "venue.inbox 0,1,5". */
function partitionList(tasks: readonly TaskStatus[]): string {
  const byTopic = Map.groupBy(tasks, task => task.topic)
  const partitions = [...byTopic].map(([topic, of]) => {
    const partitions = of.map(task => task.partition).sort((a, b) => a - b)
    return `${topic} ${partitions.join(',')}`
  })
  return partitions.join('; ') || 'none assigned'
}
