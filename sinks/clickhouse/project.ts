/**
 * Which rows each record makes. Nothing personal gets through: texts become their lengths, providers' ids digests, and of an event
 * only what is listed here. A row is made of its record alone, so that a batch that is repeated makes the same rows.
 */
import { hash } from 'node:crypto'
import { deliveryRank } from '../../domain/delivery-status.ts'
import type { ConversationEvent, ConversationEventKind, Issue, VenueEvent } from '../../schemas/types.ts'
import { allTopics, conversationEvents, conversationInbox, issues, syncLog, venueEvents } from '../../topics/catalog.ts'
import type { SinkRecord } from '../store.ts'
import { type Cell, type Row, type RowOf, type TableKey, TABLES, timeText } from './tables.ts'

/** Record types that make rows, by topic. */
export const PROJECTED: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  [conversationEvents.name, ['ConversationEvent']],
  [conversationInbox.name, ['ChatMessage', 'SendOutcome', 'DeliveryStatus']],
  [venueEvents.name, ['VenueEvent']],
  [issues.name, ['Issue']],
  [syncLog.name, ['SyncRun']],
  // Every channel's connector.
  ...allTopics()
    .filter(topic => topic.records.includes('SendMessage'))
    .map(topic => [topic.name, ['SendMessage', 'SendResult']] as const),
])

type Put = <K extends TableKey>(table: K, row: RowOf<K>) => void

/**
 * The rows of a batch, by table.
 * @param notAfter until when they may be written, ms of the server's clock
 */
export function project(records: readonly SinkRecord[], notAfter: number): Map<TableKey, Row[]> {
  const tables = new Map<TableKey, Row[]>()
  const until = Math.floor(notAfter / 1000)
  for (const readable of records) {
    const { timestamp, topic, partition, offset } = readable.record
    const ofTheLog = [timeText(timestamp), topic, partition, offset, until]
    rowsOf(readable, (table, row) => {
      const rows = tables.get(table) ?? []
      tables.set(table, rows)
      rows.push([...TABLES[table].own.map(column => cell((row as Record<string, Cell>)[column])), ...ofTheLog])
    })
  }
  return tables
}

function cell(value: Cell | undefined): Cell {
  if (typeof value === 'string') return value.toWellFormed()
  return value === undefined || (typeof value === 'number' && !Number.isFinite(value)) ? null : value
}

function rowsOf({ record, decoded }: SinkRecord, put: Put): void {
  if (decoded === null) return // an issue that was erased: what is kept of it names nobody
  const key = record.key ?? ''
  const { type, value } = decoded
  switch (type) {
    case 'ConversationEvent':
      put('conversationEvents', conversationEventRow(value))
      break
    case 'ChatMessage':
      put('messages', {
        message_id: digest(value.id),
        direction: 'in',
        conversation_id: key,
        channel: value.channel,
        kind: value.kind.toLowerCase(),
        text_length: lengthOf(value.text ?? ''),
        choices: 0,
        at: timeText(value.sentAt),
        received_at: timeText(value.receivedAt),
      })
      break
    case 'SendMessage':
      put('messages', {
        message_id: value.id,
        direction: 'out',
        conversation_id: value.conversation,
        channel: value.channel,
        kind: value.buttons.length === 0 ? 'text' : 'button',
        text_length: lengthOf(value.text),
        choices: Math.min(value.buttons.length, 255),
        at: timeText(value.createdAt),
        received_at: timeText(value.createdAt),
      })
      break
    case 'SendResult':
      // What was refused, the connector tells the conversation.
      if (!value.accepted) break
      put('deliveries', {
        conversation_id: key,
        message_id: value.id,
        provider_ref: value.providerId === null ? '' : digest(value.providerId),
        ...statusOf('sent'),
        error_code: 0,
        at: timeText(value.at),
      })
      break
    case 'SendOutcome':
      put('deliveries', {
        conversation_id: key,
        message_id: value.id,
        provider_ref: value.providerId === null ? '' : digest(value.providerId),
        ...statusOf(value.status),
        error_code: value.errorCode ?? 0,
        at: timeText(value.at),
      })
      break
    case 'DeliveryStatus':
      put('deliveries', {
        conversation_id: key,
        message_id: '',
        provider_ref: digest(value.providerId),
        ...statusOf(value.status),
        error_code: value.errorCode ?? 0,
        at: timeText(value.at),
      })
      break
    case 'VenueEvent':
      venueEventRows(value, put)
      break
    case 'SyncRun':
      put('syncRuns', {
        run_id: value.id,
        source: value.source,
        outcome: value.outcome.toLowerCase(),
        venues: Math.max(value.venues, 0),
        changed: Math.max(value.changed, 0),
        errors: Math.max(value.errors, 0),
        duration_ms: Number.isFinite(value.durationMs) ? value.durationMs : 0,
        started_at: timeText(value.startedAt),
        ended_at: timeText(value.endedAt),
      })
      break
    case 'Issue':
      put('issues', issueRow(value))
      break
    default:
      throw new Error(`no rows are made of ${type}`)
  }
}

/** Events whose before and after are codes: of others they may name a person. */
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
/** What a MESSAGE_OUT says besides its words. */
const ANSWERS = / ?\(answers ([^)]*)\)$/

function conversationEventRow(event: ConversationEvent): RowOf<'conversationEvents'> {
  const { kind } = event
  const detail = DETAILED.includes(kind) ? (event.detail ?? '') : ''
  const coded = (text: string | null) => (CODED.includes(kind) ? (text ?? '').toLowerCase() : '')
  return {
    event_id: event.id,
    conversation_id: event.conversation,
    channel: event.channel,
    kind: kind.toLowerCase(),
    venue_id: event.venue ?? '',
    language: event.language ?? '',
    before: coded(event.from),
    after: coded(event.to),
    detail: kind === 'MESSAGE_OUT' ? detail.replace(ANSWERS, '') : detail,
    score: event.score,
    runner_up: event.runnerUp,
    // A status may bear the provider's id, which may hold a phone.
    message_id: kind === 'MESSAGE_STATUS' ? digest(event.message ?? '') : (event.message ?? ''),
    answers: (kind === 'MESSAGE_OUT' && ANSWERS.exec(detail)?.[1]) || '',
    request_id: event.request ?? '',
    at: timeText(event.at),
  }
}

function venueEventRows(event: VenueEvent, put: Put): void {
  const { kind } = event
  const [at, detail, zone_id] = [timeText(event.at), event.detail ?? '', event.zone ?? '']
  const common = { event_id: event.id, venue_id: event.venue, at }
  const steps = { request_id: event.request ?? '', command_id: event.command ?? '', outcome: (event.outcome ?? '').toLowerCase() }
  put('venueEvents', { ...common, kind: kind.toLowerCase(), zone_id, detail, ...steps })
  switch (kind) {
    case 'ZONE_ONLINE':
    case 'ZONE_OFFLINE':
    case 'ZONE_UNKNOWN':
      put('zoneStates', { ...common, zone_id, status: kind.slice('ZONE_'.length).toLowerCase(), detail })
      break
    case 'REQUEST':
    case 'COMMAND':
    case 'COMMAND_ENDED': {
      const [what = '', reason = ''] = detail.split(': ', 2)
      put('commands', {
        ...common,
        ...steps,
        step: STEPS[kind],
        zone_id,
        kind: what.toLowerCase(),
        reason,
        volume_from: volume(event.from),
        volume_to: volume(event.to),
      })
      break
    }
  }
}

const STEPS = { REQUEST: 'requested', COMMAND: 'sent', COMMAND_ENDED: 'ended' } as const

function volume(value: number | null): number | null {
  return value === null ? null : Math.min(Math.max(value, -1000), 1000)
}

function issueRow(issue: Issue): RowOf<'issues'> {
  const time = (ms: number | null) => (ms === null ? null : timeText(ms))
  return {
    issue_id: issue.id,
    conversation_id: issue.conversation,
    channel: issue.channel,
    venue_id: issue.venue ?? '',
    department: issue.department.toLowerCase(),
    priority: issue.priority.toLowerCase(),
    reason: issue.reason,
    status: issue.status.toLowerCase(),
    opened_at: timeText(issue.openedAt),
    due_at: time(issue.dueAt),
    responded_at: time(issue.respondedAt),
    resolved_at: time(issue.resolvedAt),
    updated_at: timeText(issue.updatedAt),
  }
}

function statusOf(status: string): { status: string; rank: number } {
  return { status: status.toLowerCase(), rank: deliveryRank(status) }
}

/** As events refer to messages: some providers' ids hold a phone. */
function digest(providerId: string): string {
  return hash('sha256', providerId, 'hex').slice(0, 20)
}

/** Characters, as people count them. */
function lengthOf(text: string): number {
  return [...text].length
}
