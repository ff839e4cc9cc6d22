/** What the page shows of a record: a few fields, without anything personal. */
import { piiPaths } from '../schemas/index.ts'
import type { RecordName } from '../schemas/types.ts'
import {
  alerts,
  channelInboxes,
  conversationEvents,
  conversationInbox,
  conversationProfiles,
  issues,
  sheetsInbox,
  soundtrackInbox,
  syncLog,
  venueEvents,
  venueInbox,
  venueProfiles,
} from '../topics/catalog.ts'
import type { Decoded } from '../topics/codec.ts'

/** The way of a message through the invented world; nothing of who uses the API, nor what could not be read. */
export const SHOWN = [
  conversationInbox,
  conversationProfiles,
  conversationEvents,
  issues,
  venueInbox,
  venueProfiles,
  venueEvents,
  ...channelInboxes().values(),
  soundtrackInbox,
  sheetsInbox,
  alerts,
  syncLog,
]

/** Fields that name who did something, by an id that may be an e-mail address. */
const PEOPLE = ['by', 'assignee', 'actor']
const FIELDS = 6
const MASK = '•••'

/** Fields in which a schema says personal data are, those that name people, and whatever looks like an e-mail address, are masked. */
export function brief(type: RecordName, record: Decoded['value']): Record<string, unknown> {
  const personal = new Set([...PEOPLE, ...piiPaths(type).map(path => path.split('.')[0])])
  const fields = Object.entries(record).flatMap(([name, value]) => {
    if (value === null || value === '' || typeof value === 'object') return []
    return [[name, personal.has(name) ? MASK : typeof value === 'string' ? short(value) : value]]
  })
  return Object.fromEntries(fields.slice(0, FIELDS))
}

/** The text cut to a line's length, with every e-mail address in it masked. */
export function short(text: string): string {
  const shown = text.replace(/[^\s<>"'()[\],;:]+@[^\s<>"'()[\],;:]+/g, MASK)
  return shown.length <= 22 ? shown : `${shown.slice(0, 18)}…${shown.slice(-3)}`
}
