import { expect, test } from 'vitest'
import { SOURCES } from './sources.ts'

const sourceOf = (event: string) => {
  const source = SOURCES.find(s => s.event === event)
  if (source === undefined) throw new Error(`no source of "${event}" events`)
  return source
}
const ISSUE = {
  id: 'i1',
  conversation: 'main:c1',
  venue: 'main:v1',
  venueName: 'Lotus Bay',
  department: 'OPERATIONS',
  priority: 'HIGH',
  reason: 'handover',
  status: 'OPEN',
  assignee: 'nok@example.com',
  text: 'not to be sent',
  openedAt: 1_000,
  updatedAt: 2_000,
}

test('each topic has one source, whose order the ids of events rely on', () => {
  expect(SOURCES.map(({ topic }) => topic.name)).toEqual(['venue.profiles', 'conversation.profiles', 'alerts', 'issues'])
  expect(new Set(SOURCES.map(({ event }) => event)).size).toBe(SOURCES.length)
})

test('an issue belongs to its venue, and hides its assignee from roles without personal data', () => {
  const update = sourceOf('issue').updateOf('i1', { type: 'Issue', value: ISSUE } as never)
  expect(update).toMatchObject({ venue: 'main:v1', owner: 'main:c1', data: { status: 'open', assignee: 'nok@example.com' } })
  expect(update?.masked).toMatchObject({ status: 'open', assignee: 'n•••@example.com' })
  expect(JSON.stringify(update)).not.toContain('not to be sent')
})

test('an alert of no venue and no conversation has no owner', () => {
  const alert = { id: 'a1', venue: null, conversation: null, department: 'OPERATIONS', priority: 'INFO', at: 0 }
  expect(sourceOf('alert').updateOf('a1', { type: 'Alert', value: alert } as never)).toMatchObject({ venue: null, owner: '' })
})

test('deletions of venues and conversations are sent, those of alerts and issues are not', () => {
  const deleted = (event: string) => sourceOf(event).updateOf('main:x', null)
  expect(deleted('venue')).toEqual({ venue: 'main:x', owner: 'main:x', data: { id: 'main:x', deleted: true } })
  expect(deleted('conversation')).toEqual({ venue: null, owner: 'main:x', data: { id: 'main:x', deleted: true } })
  expect([deleted('alert'), deleted('issue')]).toEqual([null, null])
})

test('a record of another type is not sent', () => {
  expect(sourceOf('venue').updateOf('main:v1', { type: 'Issue', value: ISSUE } as never)).toBeNull()
})
