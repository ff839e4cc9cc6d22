import { expect, test } from 'vitest'
import { sendFailed } from '../domain/alerts.ts'
import type { AlertInput } from '../schemas/types.ts'
import { raiseAlert, resolveAlert } from './alerts.ts'
import type { alerts } from './catalog.ts'

/** A context that keeps what is emitted. */
function context() {
  const emitted: unknown[] = []
  const emit = ({ name }: typeof alerts, key: string, type: 'Alert', record: AlertInput) =>
    emitted.push({ name, key, type, record })
  return { key: 'main:c1', now: 5, emit, emitted }
}

test('an alert is raised under the key of its actor, for the default department', () => {
  const ctx = context()
  raiseAlert(ctx, { ...sendFailed('m1'), conversation: 'main:c1', priority: 'HIGH', text: 'A message could not be sent.' })
  const record = {
    id: 'send_failed:m1',
    kind: 'send_failed',
    conversation: 'main:c1',
    department: 'OPERATIONS',
    priority: 'HIGH',
    text: 'A message could not be sent.',
    resolved: false,
    at: 5,
  }
  expect(ctx.emitted).toEqual([{ name: 'alerts', key: 'main:c1', type: 'Alert', record }])
})

test('it is resolved by the same id, for the department that it names', () => {
  const ctx = context()
  resolveAlert(ctx, { ...sendFailed('m1'), department: 'SALES', priority: 'HIGH', text: 'It went out after all.' })
  expect(ctx.emitted).toMatchObject([{ record: { id: 'send_failed:m1', department: 'SALES', resolved: true } }])
})
