import { describe, expect, it } from 'vitest'
import { assertTransition, IllegalTransition, type TaskState, TRANSITIONS } from './state.ts'

const STATES = Object.keys(TRANSITIONS) as TaskState[]
/** Written out, so that the table cannot change unnoticed. */
const ALLOWED = [
  'CREATED > RESTORING',
  'CREATED > CLOSED',
  'RESTORING > RESTORING',
  'RESTORING > RUNNING',
  'RESTORING > STOPPED',
  'RESTORING > CLOSED',
  'RUNNING > RESTORING',
  'RUNNING > STOPPED',
  'RUNNING > DRAINING',
  'RUNNING > CLOSED',
  'STOPPED > RESTORING',
  'STOPPED > STOPPED',
  'STOPPED > CLOSED',
  'DRAINING > STOPPED',
  'DRAINING > CLOSED',
]

describe.each(STATES)('from %s', from => {
  it.each(STATES)('to %s', to => {
    const go = () => assertTransition('venue.inbox/3', from, to)
    if (ALLOWED.includes(`${from} > ${to}`)) expect(go).not.toThrow()
    else {
      expect(go).toThrow(IllegalTransition)
      expect(go).toThrow(`task venue.inbox/3 must not go from ${from} to ${to}`)
    }
  })

  it('can always end', () => {
    let reached: TaskState[] = [from]
    for (let steps = 0; steps < STATES.length; steps++)
      reached = [...new Set([...reached, ...reached.flatMap(s => TRANSITIONS[s])])]
    expect(reached).toContain('CLOSED')
  })
})
