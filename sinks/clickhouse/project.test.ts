import { beforeAll, expect, test } from 'vitest'
import type { ConversationEventInput, VenueEventInput } from '../../schemas/types.ts'
import { conversationEvents, venueEvents } from '../../topics/catalog.ts'
import type { Codec } from '../../topics/codec.ts'
import { TestLog } from '../testing/log.ts'
import { project } from './project.ts'
import { readable } from './testing/fixture.ts'

const AT = Date.UTC(2026, 4, 1)
let codec: Codec

beforeAll(async () => {
  codec = (await TestLog.open()).codec
})

/** The first row of a table, by its columns. */
function rowOf(table: string, topic: string, type: 'ConversationEvent' | 'VenueEvent', value: object) {
  const record = readable(codec, { topic, key: 'main:k', offset: 0, timestamp: AT }, type, value as never)
  for (const [{ name, columns }, [row = []]] of project([record], AT)) {
    if (name === table) return Object.fromEntries(columns.map((column, n) => [column, row[n]]))
  }
  return null
}

const said = (fields: Partial<ConversationEventInput>) =>
  rowOf('conversation_events', conversationEvents.name, 'ConversationEvent', {
    id: 'e1',
    conversation: 'main:k',
    channel: 'line',
    kind: 'MESSAGE_OUT',
    at: AT,
    ...fields,
  })
const command = (fields: Partial<VenueEventInput>) =>
  rowOf('commands', venueEvents.name, 'VenueEvent', { id: 'e1', venue: 'main:k', kind: 'COMMAND_ENDED', at: AT, ...fields })

test('what a message answers comes from its field, or from the detail of events written before', () => {
  const row = { detail: 'greeting venue.ask', answers: '0123456789abcdef0123' }
  const detail = 'greeting venue.ask (answers 0123456789abcdef0123)'
  expect(said({ detail })).toMatchObject(row)
  expect(said({ detail, answers: row.answers, phrases: ['greeting', 'venue.ask'] })).toMatchObject(row)
  expect(said({ detail: 'for people', answers: row.answers, phrases: ['agent'] })).toMatchObject({ ...row, detail: 'agent' })
  expect(said({ kind: 'MESSAGE_IN', detail: 'text (answers x)' })).toMatchObject({ detail: 'text (answers x)', answers: '' })
})

test('what was requested and why it ended come from their fields, or from the detail of events written before', () => {
  const row = { step: 'ended', kind: 'pause', reason: 'trust' }
  expect(command({ detail: 'PAUSE: trust' })).toMatchObject(row)
  expect(command({ detail: 'PAUSE: trust', action: 'PAUSE', reason: 'trust' })).toMatchObject(row)
  expect(command({ detail: 'for people: only', action: 'PAUSE', reason: 'trust' })).toMatchObject(row)
  expect(command({ detail: 'PAUSE', action: 'PAUSE' })).toMatchObject({ ...row, reason: '' })
  expect(command({ detail: 'PAUSE' })).toMatchObject({ ...row, reason: '' })
  expect(command({ kind: 'ZONE_ONLINE', detail: 'PAUSE: trust' })).toBeNull()
})
