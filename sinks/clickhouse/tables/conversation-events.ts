import { reference } from '../../../domain/ids.ts'
import type { ConversationEvent, ConversationEventKind } from '../../../schemas/types.ts'
import { conversationEvents as topic } from '../../../topics/catalog.ts'
import { defineTable, lower, timeText } from './table.ts'

/** Events whose before and after are codes: those of others may name a person. */
const CODED: readonly ConversationEventKind[] = [
  'STATE_CHANGED',
  'OWNER_CHANGED',
  'MESSAGE_STATUS',
  'REQUEST_ENDED',
  'TRUST_CHANGED',
]
/** Events whose detail is a code. */
const DETAILED: readonly ConversationEventKind[] = [
  ...CODED,
  'IDENTIFIED',
  'INTENT',
  'MESSAGE_IN',
  'MESSAGE_OUT',
  'REQUEST',
  'HANDED_OVER',
]
/** What earlier versions wrote after the phrases of a MESSAGE_OUT, when events had no field for it. */
const ANSWERS = / ?\(answers ([^)]*)\)$/

export const conversationEvents = defineTable({
  name: 'conversation_events',
  columns: [
    'event_id',
    'conversation_id',
    'channel',
    'kind',
    'venue_id',
    'language',
    'before',
    'after',
    'detail',
    'score',
    'runner_up',
    'message_id',
    'answers',
    'request_id',
    'at',
  ],
  from: {
    ConversationEvent: {
      topics: [topic],
      rows: event => {
        const coded = (text: string | null) => (CODED.includes(event.kind) ? lower(text ?? '') : '')
        return {
          event_id: event.id,
          conversation_id: event.conversation,
          channel: event.channel,
          kind: lower(event.kind),
          venue_id: event.venue ?? '',
          language: event.language ?? '',
          before: coded(event.from),
          after: coded(event.to),
          ...detailOf(event),
          score: event.score,
          runner_up: event.runnerUp,
          // The id in a status may be the provider's, which may contain a phone.
          message_id: event.kind === 'MESSAGE_STATUS' ? reference(event.message ?? '') : (event.message ?? ''),
          request_id: event.request ?? '',
          at: timeText(event.at),
        }
      },
    },
  },
  rollups: [
    {
      name: 'messages_hourly',
      time: 'hour',
      span: '1 HOUR',
      keys: ['hour', 'venue_id', 'channel', 'direction', 'language'],
      value: '(messages, conversations)',
      raw: `SELECT toStartOfHour(at)::DateTime('UTC') AS hour, venue_id, channel, if(kind = 'message_in', 'in', 'out') AS direction,
        language, uniqExact(message_id) AS messages, uniqExact(conversation_id) AS conversations
      FROM conversation_events WHERE kind IN ('message_in', 'message_out') GROUP BY hour, venue_id, channel, direction, language`,
    },
    {
      name: 'identification_daily',
      time: 'day',
      span: '1 DAY',
      keys: ['day', 'channel', 'language'],
      value: '(opened, identified, handed_over)',
      raw: `SELECT toDate(at) AS day, channel, language, uniqExactIf(conversation_id, kind = 'opened') AS opened,
        uniqExactIf(conversation_id, kind = 'identified') AS identified,
        uniqExactIf(conversation_id, kind = 'owner_changed' AND after = 'waiting') AS handed_over
      FROM conversation_events WHERE kind IN ('opened', 'identified') OR (kind = 'owner_changed' AND after = 'waiting')
      GROUP BY day, channel, language`,
    },
  ],
})

function detailOf({ kind, detail: text, answers, phrases }: ConversationEvent): { detail: string; answers: string } {
  if (kind === 'MESSAGE_OUT' && answers !== null) return { detail: phrases.join(' '), answers }
  const detail = DETAILED.includes(kind) ? (text ?? '') : ''
  if (kind !== 'MESSAGE_OUT') return { detail, answers: '' }
  return { detail: detail.replace(ANSWERS, ''), answers: ANSWERS.exec(detail)?.[1] ?? '' }
}
