/**
 * The states of a task.
 *
 *   CREATED ──▶ RESTORING ──▶ RUNNING ──▶ DRAINING ──▶ CLOSED
 *                 ▲  │  ▲        │  │         │           ▲
 *                 │  │  └────────┘  ▼         │           │
 *                 │  └─────────▶ STOPPED ◀────┘   (every state ends in CLOSED)
 *                 └──────────────┘
 *
 * RESTORING: its state is read from the changelog. STOPPED: a person must decide, or other code must come. DRAINING: it takes no more
 * records, and what it has folded may still be committed.
 */
export type TaskState = 'CREATED' | 'RESTORING' | 'RUNNING' | 'STOPPED' | 'DRAINING' | 'CLOSED'

/** What may follow a state. A restore may be restarted, and a task found stopped may be stopped for another cause. */
export const TRANSITIONS: Readonly<Record<TaskState, readonly TaskState[]>> = {
  CREATED: ['RESTORING', 'CLOSED'],
  RESTORING: ['RESTORING', 'RUNNING', 'STOPPED', 'CLOSED'],
  RUNNING: ['RESTORING', 'STOPPED', 'DRAINING', 'CLOSED'],
  STOPPED: ['RESTORING', 'STOPPED', 'CLOSED'],
  DRAINING: ['STOPPED', 'CLOSED'],
  CLOSED: [],
}

/** A mistake of the engine: a task must not go from the one state to the other. */
export class IllegalTransition extends Error {
  constructor(task: string, from: TaskState, to: TaskState) {
    super(`task ${task} must not go from ${from} to ${to}`)
    this.name = 'IllegalTransition'
  }
}

/** @throws {IllegalTransition} */
export function assertTransition(task: string, from: TaskState, to: TaskState): void {
  if (!TRANSITIONS[from].includes(to)) throw new IllegalTransition(task, from, to)
}
