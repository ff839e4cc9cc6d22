/**
 * For tests: an invented world of two days, 2 and 3 March 2026, at three venues, as records of the log. docs/ANALYTICS.md asks
 * about it.
 */
import type { ConversationEventInput, IssueInput, RecordInputs, RecordName, VenueEventInput } from '../../../schemas/types.ts'
import { topicNamed } from '../../../topics/catalog.ts'
import type { Codec } from '../../../topics/codec.ts'
import { partitionOf } from '../../../topics/murmur2.ts'
import { reference } from '../../../domain/ids.ts'
import type { SinkRecord } from '../../store.ts'
import { readable } from './fixture.ts'

/** UTC, of March 2026: `time(2, '09:00:01.500')`. */
const time = (day: number, clock: string) => Date.parse(`2026-03-0${day}T${clock}Z`)

type Put = <N extends RecordName>(topic: string, key: string, type: N, value: RecordInputs[N], at: number) => void

export function worldOf(codec: Codec): SinkRecord[] {
  const records: SinkRecord[] = []
  const offsets = new Map<string, number>()
  const put: Put = (topic, key, type, value, timestamp) => {
    const place = `${topic}/${partitionOf(key, topicNamed(topic).partitions)}`
    const offset = offsets.get(place) ?? 0
    offsets.set(place, offset + 1)
    records.push(readable(codec, { topic, key, offset, timestamp }, type, value))
  }
  zones(put)
  conversations(put)
  syncs(put)
  return records
}

function zones(put: Put): void {
  let count = 0
  const zone = (venue: string, zone: string, at: number, kind: VenueEventInput['kind'], detail: string | null = null) =>
    put('venue.events', venue, 'VenueEvent', { id: `zone-${count++}`, venue, kind, zone, detail, at }, at)
  zone('main:lagoon', 'lobby', time(1, '00:00:00'), 'ZONE_ONLINE')
  zone('main:lagoon', 'pool', time(1, '00:00:00'), 'ZONE_ONLINE')
  zone('main:lotus', 'bar', time(1, '00:00:00'), 'ZONE_ONLINE')
  zone('main:heron', 'shop', time(1, '00:00:00'), 'ZONE_UNKNOWN')
  zone('main:lagoon', 'lobby', time(2, '06:00:00'), 'ZONE_OFFLINE', 'no connection')
  zone('main:lagoon', 'lobby', time(2, '07:30:00'), 'ZONE_ONLINE')
  zone('main:heron', 'shop', time(2, '12:00:00'), 'ZONE_ONLINE')
  zone('main:lotus', 'bar', time(2, '20:00:00'), 'ZONE_OFFLINE', 'device off')
  zone('main:lotus', 'bar', time(3, '04:00:00'), 'ZONE_ONLINE')
}

/** A conversation, told step by step. */
function talk(put: Put, name: string, channel: string, language: string) {
  const conversation = `main:${name}`
  let venue: string | null = null
  let [events, messages] = [0, 0]
  const event = (at: number, kind: ConversationEventInput['kind'], more: Partial<ConversationEventInput> = {}) => {
    const id = `${name}-${events++}`
    put(
      'conversation.events',
      conversation,
      'ConversationEvent',
      { id, conversation, channel, kind, venue, language, at, ...more },
      at,
    )
  }
  const venueEvent = (at: number, kind: VenueEventInput['kind'], more: Partial<VenueEventInput>) =>
    put('venue.events', venue ?? '', 'VenueEvent', { id: `${name}-${events++}`, venue: venue ?? '', kind, at, ...more }, at)
  // Every other event is as earlier versions wrote it, when its fields were parts of the detail.
  const ofNow = <T extends object>(fields: T): T | object => (events % 2 === 0 ? fields : {})
  const self = {
    /** The person writes. Returns the message's id. */
    says(at: number, text: string): string {
      const id = `${name}-in-${messages++}`
      const sender = { id: `66-${name}`, name: 'Somebody' }
      const message = {
        id,
        channel,
        account: '1',
        chat: sender.id,
        sender,
        kind: 'TEXT' as const,
        text,
        sentAt: at,
        receivedAt: at,
      }
      put('conversation.inbox', conversation, 'ChatMessage', message, at)
      if (messages === 1) event(at, 'OPENED')
      event(at, 'MESSAGE_IN', { message: reference(id), detail: 'text' })
      return id
    },
    /** We answer; `fate` is how far the answer came. */
    answers(at: number, about: string, word: string, text: string, fate: 'READ' | 'DELIVERED' | 'FAILED' | null = 'READ'): void {
      const [id, providerId] = [`${name}-out-${messages++}`, `provider-${name}-${messages}`]
      const answers = reference(about)
      event(at, 'MESSAGE_OUT', {
        message: id,
        detail: `${word} (answers ${answers})`,
        ...ofNow({ answers, phrases: [word] }),
      })
      const sent = { id, conversation, channel, account: '1', to: `66-${name}`, text, lastInboundAt: at, createdAt: at }
      put('whatsapp.inbox', conversation, 'SendMessage', sent, at)
      if (fate === null) return
      const status = fate === 'FAILED' ? { status: 'FAILED' as const, errorCode: 131026 } : { status: 'SENT' as const }
      put('conversation.inbox', conversation, 'SendOutcome', { id, providerId, at: at + 400, ...status }, at + 400)
      const later = fate === 'READ' ? (['DELIVERED', 'READ'] as const) : fate === 'DELIVERED' ? (['DELIVERED'] as const) : []
      for (const [n, status] of later.entries()) {
        put(
          'conversation.inbox',
          conversation,
          'DeliveryStatus',
          { providerId, status, at: at + 1000 * (n + 1) },
          at + 1000 * (n + 1),
        )
      }
    },
    identified(at: number, where: string, evidence: string, score: number): void {
      venue = where
      event(at, 'IDENTIFIED', { detail: evidence, score, runnerUp: 0.4 })
      event(at, 'STATE_CHANGED', { from: 'INITIAL', to: 'IDENTIFIED' })
    },
    /** A request for a zone, and how it ends. */
    wants(
      at: number,
      zone: string,
      kind: string,
      end: { at: number; outcome: string; reason?: string; from?: number; to?: number },
    ): void {
      const request = `${name}-request`
      const { outcome, reason, from = null, to = null } = end
      event(at, 'REQUEST', { request, detail: kind.toLowerCase() })
      venueEvent(at, 'REQUEST', { request, detail: kind, ...ofNow({ action: kind }) })
      const refused = outcome === 'REFUSED'
      const command = refused ? null : `${request}.1`
      if (!refused)
        venueEvent(at + 300, 'COMMAND', { request, zone, command, detail: 'VOLUME', ...ofNow({ action: 'VOLUME' }), from, to })
      const detail = reason === undefined ? kind : `${kind}: ${reason}`
      venueEvent(end.at, 'COMMAND_ENDED', {
        request,
        zone,
        command,
        outcome,
        detail,
        ...ofNow({ action: kind, reason }),
        from,
        to,
      })
      event(end.at, 'REQUEST_ENDED', { request, to: outcome.toLowerCase(), detail: reason ?? '' })
    },
    handedOver(
      at: number,
      reason: string,
      issue: Pick<IssueInput, 'department' | 'priority'>,
      due: number,
      then: Partial<IssueInput>,
    ): void {
      event(at, 'OWNER_CHANGED', { from: 'BOT', to: 'WAITING', detail: reason })
      const open: IssueInput = {
        id: `${name}-issue`,
        conversation,
        channel,
        venue,
        ...issue,
        reason,
        status: 'OPEN',
        openedAt: at,
        dueAt: due,
        updatedAt: at,
      }
      put('issues', open.id, 'Issue', open, at)
      const updatedAt = then.resolvedAt ?? then.respondedAt ?? at
      put('issues', open.id, 'Issue', { ...open, ...then, updatedAt }, updatedAt)
    },
  }
  return self
}

function conversations(put: Put): void {
  const loud = talk(put, 'loud', 'whatsapp', 'en')
  const tooLoud = loud.says(time(2, '09:00:00'), 'The music in the lobby of the Blue Lagoon is too loud')
  loud.identified(time(2, '09:00:00.800'), 'main:lagoon', 'exact in first message', 0.97)
  loud.wants(time(2, '09:00:01'), 'lobby', 'VOLUME_DOWN', { at: time(2, '09:00:05.500'), outcome: 'CONFIRMED', from: 10, to: 7 })
  loud.answers(time(2, '09:00:06'), tooLoud, 'confirmed', 'Done: the lobby is at 7 now.')

  const silent = talk(put, 'silent', 'whatsapp', 'th')
  const noMusic = silent.says(time(2, '10:00:00'), 'เพลงไม่ดัง')
  silent.answers(time(2, '10:00:02'), noMusic, 'venue.ask', 'ร้านไหนครับ')
  const where = silent.says(time(2, '10:01:00'), 'โลตัสเบย์')
  silent.identified(time(2, '10:01:00.500'), 'main:lotus', 'confirmed', 0.82)
  silent.answers(time(2, '10:01:04'), where, 'handover', 'เจ้าหน้าที่จะติดต่อกลับ', 'DELIVERED')
  silent.handedOver(time(2, '10:01:04'), 'no_sound', { department: 'OPERATIONS', priority: 'HIGH' }, time(2, '10:31:04'), {
    status: 'RESOLVED',
    respondedAt: time(2, '10:21:04'),
    resolvedAt: time(2, '11:01:04'),
  })

  const lost = talk(put, 'lost', 'line', 'th')
  const hello = lost.says(time(2, '11:00:00'), 'สวัสดี')
  lost.answers(time(2, '11:00:03'), hello, 'venue.ask', 'ร้านไหนครับ', null)
  lost.says(time(2, '11:02:00'), '???')
  lost.handedOver(time(2, '11:02:00'), 'cannot_identify', { department: 'GENERAL', priority: 'NORMAL' }, time(2, '11:32:00'), {
    status: 'ACKNOWLEDGED',
    respondedAt: time(2, '12:02:00'),
  })

  const guest = talk(put, 'guest', 'whatsapp', 'en')
  const pause = guest.says(time(3, '09:00:00'), 'Pause the music at the pool')
  guest.identified(time(3, '09:00:00.600'), 'main:lagoon', 'phone on file', 1)
  guest.wants(time(3, '09:00:01'), 'pool', 'PAUSE', { at: time(3, '09:00:01.200'), outcome: 'REFUSED', reason: 'trust' })
  guest.answers(time(3, '09:00:02'), pause, 'refused.trust', 'I may not do that.', 'FAILED')

  const quiet = talk(put, 'quiet', 'line', 'th')
  const louder = quiet.says(time(3, '10:00:00'), 'เปิดเพลงดังขึ้นหน่อยที่โลตัสเบย์')
  quiet.identified(time(3, '10:00:01'), 'main:lotus', 'exact in first message', 0.93)
  quiet.wants(time(3, '10:00:02'), 'bar', 'VOLUME_UP', {
    at: time(3, '10:00:32'),
    outcome: 'UNVERIFIED',
    reason: 'no_effect',
    from: 5,
    to: 8,
  })
  quiet.answers(time(3, '10:00:33'), louder, 'unverified', 'ยังไม่เห็นการเปลี่ยนแปลง')

  talk(put, 'alone', 'whatsapp', 'en').says(time(3, '12:00:00'), 'Hello?')
}

function syncs(put: Put): void {
  const run = (
    source: string,
    at: number,
    outcome: 'OK' | 'UNCHANGED' | 'REFUSED' | 'FAILED',
    changed: number,
    errors: number,
    ms: number,
  ) => {
    const id = `${source}-${at}`
    const value = { id, source, startedAt: at, endedAt: at + ms, outcome, venues: 200, changed, errors, durationMs: ms }
    put('sync.log', source, 'SyncRun', value, at + ms)
  }
  run('sheets:venues', time(2, '00:00:00'), 'OK', 200, 0, 1200)
  run('sheets:venues', time(2, '01:00:00'), 'UNCHANGED', 0, 0, 300)
  run('sheets:venues', time(3, '00:00:00'), 'REFUSED', 0, 61, 400)
  run('soundtrack:one', time(3, '00:00:00'), 'FAILED', 0, 1, 10_000)
}
