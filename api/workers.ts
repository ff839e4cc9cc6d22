/**
 * How the workers of this process do, for `/readyz`.
 *
 *   down      a worker does nothing: no assignment, cycles that fail, no task of an actor that runs; or a task does not run that should
 *             do so by itself: its store is not open, or it is still restoring
 *   degraded  tasks stand still until a person decides, or wait for a schema or a leader, while others of their actor go on: to take
 *             the service away for them would make an outage of it, and no restart mends them; or something fails that was fine a
 *             moment ago
 */
import type { TaskStatus, WorkerStatus } from '../engine/worker.ts'
import { partitionKey } from '../topics/log.ts'
import type { DependencyStatus } from './health.ts'

/** What was fine until then may be over soon: a transaction that failed, tasks that are given out anew, ms. */
const PASSING_MS = 5_000
/** So often is looked since when something has not been fine, ms. */
const LOOK_MS = 500
const MOST_NAMED = 10
const LONGEST_CAUSE = 200

interface Trouble {
  readonly text: string
  readonly status: 'down' | 'degraded'
}

export class WorkerHealth {
  readonly #status: () => WorkerStatus
  readonly #now: () => number
  /** Monotonic ms since when something has not been fine, by what it is. */
  readonly #since = new Map<string, number>()
  /** What has been fine since it was given. */
  readonly #wasFine = new Set<string>()
  readonly #timer: NodeJS.Timeout

  /** @param now monotonic ms */
  constructor(status: () => WorkerStatus, now: () => number = () => performance.now()) {
    this.#status = status
    this.#now = now
    this.#timer = setInterval(() => this.check(), LOOK_MS).unref()
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
      ...tasks.filter(isStopped).map(task => trouble('degraded', task, `stands still: ${causeOf(task)}`)),
      ...tasks.filter(task => !isStopped(task)).flatMap(task => this.#ofTask(task, tasks)),
    ]
    const running = tasks.filter(runs).length
    const said = [`${running} of ${tasks.length} tasks run (${placesOf(tasks)})`, ...named(troubles)]
    const isDown = troubles.some(t => t.status === 'down')
    return { status: isDown ? 'down' : troubles.length > 0 ? 'degraded' : 'up', detail: said.join('; ') }
  }

  #ofWorker({ assigned, failing, cycleAgeMs }: WorkerStatus): Trouble[] {
    const unassigned = this.#judge('assignment', assigned)
    const troubles: Trouble[] = unassigned === null ? [] : [{ status: unassigned, text: 'the group has given it no tasks yet' }]
    const age = `the last one that succeeded is ${(cycleAgeMs / 1000).toFixed(1)} s ago`
    const status = cycleAgeMs > PASSING_MS ? 'down' : 'degraded'
    if (failing !== null) troubles.push({ status, text: `its cycles fail, ${age}: ${short(failing)}` })
    else if (status === 'down') troubles.push({ status, text: `its cycles do not end, ${age}` })
    return troubles
  }

  #ofTask(task: TaskStatus, of: readonly TaskStatus[]): Trouble[] {
    const status = this.#judge(partitionKey(task), runs(task))
    if (status === null) return []
    const what = task.waits === null ? `is ${task.state}` : task.state === 'RUNNING' ? 'waits' : `is ${task.state}, waits`
    // One that runs and waits, as for a schema or a leader, is tried again while the others go on.
    const goesOn = task.state === 'RUNNING' && of.some(other => other.actor === task.actor && runs(other))
    return [trouble(goesOn ? 'degraded' : status, task, task.waits === null ? what : `${what}: ${short(task.waits)}`)]
  }

  /** Null while it is fine; `degraded` for a moment where it was. */
  #judge(what: string, fine: boolean): Trouble['status'] | null {
    if (fine) {
      this.#wasFine.add(what)
      this.#since.delete(what)
      return null
    }
    const now = this.#now()
    const since = this.#since.get(what) ?? now
    this.#since.set(what, since)
    return this.#wasFine.has(what) && now - since <= PASSING_MS ? 'degraded' : 'down'
  }

  /** What is given anew begins anew. */
  #forgetAllBut(tasks: readonly TaskStatus[]): void {
    const kept = new Set(['assignment', ...tasks.map(partitionKey)])
    for (const known of [...this.#wasFine, ...this.#since.keys()]) {
      if (kept.has(known)) continue
      this.#wasFine.delete(known)
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

/** Actors of which no task runs here, since all of them stand still. */
function stoppedActors(tasks: readonly TaskStatus[]): Trouble[] {
  return [...Map.groupBy(tasks, task => task.actor)]
    .filter(([, of]) => of.every(isStopped))
    .map(([actor]) => ({ status: 'down', text: `nothing of the actor "${actor}" runs` }))
}

function causeOf({ stopped }: TaskStatus): string {
  return short(stopped ?? 'without a cause')
}

function trouble(status: Trouble['status'], task: TaskStatus, text: string): Trouble {
  return { status, text: `${partitionKey(task)} ${text}` }
}

/** What is down first, and not more than somebody reads. */
function named(troubles: readonly Trouble[]): string[] {
  const sorted = [...troubles.filter(t => t.status === 'down'), ...troubles.filter(t => t.status === 'degraded')]
  const more = sorted.length - MOST_NAMED
  return [...sorted.slice(0, MOST_NAMED).map(t => t.text), ...(more > 0 ? [`and ${more} more`] : [])]
}

function short(text: string): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length > LONGEST_CAUSE ? `${line.slice(0, LONGEST_CAUSE - 1)}…` : line
}

/** The partitions that a worker has: "venue.inbox 0,1,5". */
function placesOf(tasks: readonly TaskStatus[]): string {
  const byTopic = Map.groupBy(tasks, task => task.topic)
  const places = [...byTopic].map(([topic, of]) => {
    const partitions = of.map(task => task.partition).sort((a, b) => a - b)
    return `${topic} ${partitions.join(',')}`
  })
  return places.join('; ') || 'none given'
}
