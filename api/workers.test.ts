import { describe, expect, it, vi } from 'vitest'
import type { TaskStatus, WorkerStatus } from '../engine/worker.ts'
import { WorkerHealth } from './workers.ts'

const task = (partition: number, more: Partial<TaskStatus> = {}): TaskStatus => ({
  topic: 'venue.inbox',
  partition,
  actor: 'venue',
  state: 'RUNNING',
  position: 5,
  stopped: null,
  waits: null,
  ...more,
})
const stopped = (partition: number, cause: string, more: Partial<TaskStatus> = {}) =>
  task(partition, { state: 'STOPPED', stopped: cause, ...more })

/** A worker whose status and clock the test sets. */
function worker(first: Partial<WorkerStatus> = {}) {
  const status = { assigned: true, tasks: [task(0), task(1)], effects: 0, cycleAgeMs: 10, failing: null, ...first }
  const clock = { now: 1_000 }
  const health = new WorkerHealth(
    () => status,
    () => clock.now,
  )
  health.close()
  return { status: status as { -readonly [K in keyof WorkerStatus]: WorkerStatus[K] }, clock, check: () => health.check() }
}

describe('a worker', () => {
  it('is up if all its tasks are running, and if none are assigned', () => {
    expect(worker().check()).toEqual({ status: 'up', detail: '2 of 2 tasks running (venue.inbox 0,1)' })
    expect(worker({ tasks: [] }).check()).toMatchObject({ status: 'up', detail: expect.stringContaining('none assigned') })
  })

  it('is down until its first assignment, and degraded for a moment during a rebalance', () => {
    const { status, clock, check } = worker({ assigned: false, tasks: [] })
    expect(check().status).toBe('down')
    status.assigned = true
    expect(check().status).toBe('up')
    status.assigned = false
    expect(check().status).toBe('degraded')
    clock.now += 5_001
    expect(check()).toMatchObject({ status: 'down', detail: expect.stringContaining('no tasks assigned by the group yet') })
  })

  it('is down at once while a task has never run, whether it is restoring or its store cannot be opened', () => {
    const restoring = worker({ tasks: [task(0), task(1, { state: 'RESTORING' })] }).check()
    expect(restoring).toMatchObject({ status: 'down', detail: expect.stringContaining('venue.inbox/1 is RESTORING') })
    const unopened = task(1, { state: 'CREATED', waits: 'its store cannot be opened: no space left' })
    expect(worker({ tasks: [task(0), unopened] }).check()).toEqual({
      status: 'down',
      detail:
        '1 of 2 tasks running (venue.inbox 0,1); venue.inbox/1 is CREATED, waits: its store cannot be opened: no space left',
    })
  })

  it('is degraded while a task waits and others of its actor run, down if none runs, and up once it runs again', () => {
    const { status, clock, check } = worker()
    expect(check().status).toBe('up')
    status.tasks = [task(0), task(1, { waits: 'it cannot be read' })]
    expect(check()).toMatchObject({
      status: 'degraded',
      detail: expect.stringContaining('venue.inbox/1 waits: it cannot be read'),
    })
    clock.now += 5_001
    expect(check().status).toBe('degraded')
    status.tasks = [task(0, { waits: 'it cannot be read' }), task(1, { waits: 'it cannot be read' })]
    expect(check().status).toBe('down')
    status.tasks = [task(0), task(1)]
    expect(check().status).toBe('up')
  })

  it('notices when a task begins to wait, even between requests', () => {
    vi.useFakeTimers()
    try {
      const clock = { now: 0 }
      let tasks = [task(0)]
      const status = () => ({ assigned: true, tasks, effects: 0, cycleAgeMs: 0, failing: null })
      const health = new WorkerHealth(status, () => clock.now)
      vi.advanceTimersByTime(500)
      tasks = [task(0, { waits: 'its store is behind' })]
      vi.advanceTimersByTime(500)
      clock.now += 6_000
      expect(health.check().status).toBe('down')
      health.close()
    } finally {
      vi.useRealTimers()
    }
  })

  it('forgets that a task has run once it was assigned elsewhere', () => {
    const { status, check } = worker()
    check()
    status.tasks = [task(0)]
    expect(check().status).toBe('up')
    status.tasks = [task(0), task(1, { state: 'RESTORING' })]
    expect(check().status).toBe('down')
  })

  it('is degraded while some tasks are halted, and down if all tasks of an actor are', () => {
    const one = worker({ tasks: [task(0), stopped(1, 'unknown record')] }).check()
    expect(one).toEqual({
      status: 'degraded',
      detail: '1 of 2 tasks running (venue.inbox 0,1); venue.inbox/1 halted: unknown record',
    })
    const sheets = stopped(0, 'x', { topic: 'sheets.inbox', actor: 'sheets' })
    const all = worker({ tasks: [task(0), task(1), sheets] }).check()
    expect(all).toMatchObject({ status: 'down', detail: expect.stringContaining('all tasks of the actor "sheets" are halted') })
  })

  it('is degraded when a cycle fails, and down once none has succeeded for seconds, failing or not', () => {
    const { status, check } = worker({ failing: 'the disk is full' })
    expect(check()).toMatchObject({ status: 'degraded', detail: expect.stringMatching(/cycles fail.*the disk is full/) })
    status.cycleAgeMs = 5_001
    expect(check()).toMatchObject({ status: 'down', detail: expect.stringContaining('5.0 s ago: the disk is full') })
    status.failing = null
    expect(check()).toMatchObject({ status: 'down', detail: expect.stringContaining('do not complete') })
  })

  it('lists at most ten causes, each on one line, the most severe first', () => {
    const long = Array.from({ length: 40 }, (_, n) => stopped(n, `line\nof ${'x'.repeat(5_000)}`))
    const { detail } = worker({ tasks: [...long, task(99, { state: 'RESTORING' })] }).check()
    expect(detail.length).toBeLessThan(4_000)
    expect(detail).not.toContain('\n')
    expect(detail).toMatch(/; venue.inbox\/99 is RESTORING; venue.inbox\/0 halted: line of x+…;.*; and 31 more$/)
  })
})
