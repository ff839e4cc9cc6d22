/** Which rows each record makes. */
import type { ConversationProfile, VenueProfile } from '../../schemas/types.ts'
import * as catalog from '../../topics/catalog.ts'
import type { Codec, Decoded } from '../../topics/codec.ts'
import type { LogRecord } from '../../topics/log.ts'
import type { Batch } from './batch.ts'
import {
  alerts,
  archive,
  conversationEvents,
  conversations,
  deadLetters,
  erasures,
  isoTime,
  issues,
  notes,
  syncRefusals,
  syncRuns,
  venueEvents,
  venues,
  zones,
} from './tables.ts'

/** Record types that make rows, by topic; null for all of them. */
export const PROJECTED: ReadonlyMap<string, readonly string[] | null> = new Map([
  [catalog.venueProfiles.name, ['VenueProfile']],
  [catalog.venueEvents.name, ['VenueEvent']],
  [catalog.conversationProfiles.name, ['ConversationProfile']],
  [catalog.conversationEvents.name, ['ConversationEvent']],
  [catalog.conversationInbox.name, null], // the archive
  [catalog.conversationJournal.name, null],
  [catalog.whatsappInbox.name, ['SendMessage', 'SendResult', 'ErasePerson']],
  [catalog.alerts.name, ['Alert']],
  [catalog.issues.name, ['Issue']],
  [catalog.syncLog.name, ['SyncRun', 'SyncRefusals']],
  [catalog.auditLog.name, ['AuditEvent']],
  [catalog.deadLetters.name, ['DeadLetter']],
])

const ARCHIVED: readonly string[] = [catalog.conversationInbox.name, catalog.conversationJournal.name]

/** Keeps what a conversation was made from as it came, for replay and explanation: its inbox, and what was looked up for it. */
export function keep(batch: Batch, record: LogRecord, codec: Codec): void {
  const { topic, partition, offset, timestamp, headers } = record
  if (!ARCHIVED.includes(topic) || record.value === null) return
  const { name, fingerprint, raw } = codec.unwrap(record.value)
  batch.schema(fingerprint, codec.schemaOf(record.value))
  batch.put(archive, {
    topic,
    partition,
    offset,
    conversation_id: record.key ?? '',
    at: timestamp,
    record_type: name,
    fingerprint: Buffer.from(fingerprint, 'hex'),
    value: raw,
    headers,
  })
}

/** Adds what the record says to the batch. */
export function project(batch: Batch, record: LogRecord, { type, value }: Decoded): void {
  const { partition, offset: version } = record
  const key = record.key ?? ''
  switch (type) {
    case 'VenueProfile':
      batch.put(venues, venueRow(value, version))
      for (const zone of value.zones) {
        batch.put(zones, {
          venue_id: value.venue,
          id: zone.zone,
          name: zone.name,
          status: lower(zone.status),
          detail: zone.detail,
          playback: zone.playback,
          volume: zone.volume,
          track: zone.track,
          artist: zone.artist,
          source: zone.source,
          since: zone.since,
          last_seen: zone.lastSeen,
          as_of: zone.asOf,
          version,
        })
      }
      batch.zonesOf(value.venue, version)
      break
    case 'ConversationProfile':
      batch.put(conversations, conversationRow(value, version))
      break
    case 'ChatMessage':
      batch.message({
        conversation_id: key,
        id: value.id,
        direction: 'in',
        channel: value.channel,
        provider_id: value.id,
        sender_id: value.sender.id,
        text: value.text,
        kind: lower(value.kind),
        at: value.sentAt,
        status: 'delivered',
        reason: '',
        version,
      })
      break
    case 'SendMessage':
      batch.message({
        conversation_id: value.conversation,
        id: value.id,
        direction: 'out',
        channel: value.channel,
        text: value.text,
        kind: value.buttons.length === 0 ? 'text' : 'button',
        at: value.createdAt,
        status: 'queued',
        reason: '',
        version,
      })
      break
    case 'SendResult':
      // What was refused, the connector tells the conversation.
      if (!value.accepted) break
      batch.status(value.id, value.providerId, {
        conversation: key,
        status: 'sent',
        reason: '',
        errorCode: null,
        at: value.at,
      })
      break
    case 'SendOutcome':
      batch.status(value.id, value.providerId, {
        conversation: key,
        status: lower(value.status),
        reason: value.reason,
        errorCode: value.errorCode,
        at: value.at,
      })
      break
    case 'DeliveryStatus':
      batch.report(value.providerId, {
        conversation: key,
        status: lower(value.status),
        reason: value.error ?? '',
        errorCode: value.errorCode,
        at: value.at,
      })
      break
    case 'AgentAction':
      if (value.kind !== 'NOTE') break
      batch.put(notes, {
        id: value.id,
        conversation_id: key,
        by_id: value.by,
        by_name: value.byName,
        text: value.text ?? '',
        at: value.at,
        version,
      })
      break
    case 'ErasePerson':
      // The order on the conversation's inbox has the time of whoever gave it.
      batch.put(erasures, {
        conversation_id: key,
        topic: record.topic,
        at: record.topic === catalog.conversationInbox.name ? record.timestamp : value.at,
        logged_at: record.timestamp,
        version,
      })
      break
    case 'ConversationEvent':
      batch.put(conversationEvents, {
        id: value.id,
        conversation_id: value.conversation,
        kind: lower(value.kind),
        venue_id: value.venue,
        language: value.language,
        from: value.from,
        to: value.to,
        detail: value.detail,
        score: value.score,
        runner_up: value.runnerUp,
        message: value.message,
        request: value.request,
        at: value.at,
        version,
      })
      break
    case 'VenueEvent':
      batch.put(venueEvents, {
        id: value.id,
        venue_id: value.venue,
        kind: lower(value.kind),
        zone: value.zone,
        request: value.request,
        command: value.command,
        detail: value.detail,
        outcome: value.outcome,
        volume_from: value.from,
        volume_to: value.to,
        at: value.at,
        version,
      })
      break
    case 'Issue':
      batch.put(issues, {
        id: value.id,
        conversation_id: value.conversation,
        channel: value.channel,
        venue_id: value.venue,
        venue_name: value.venueName,
        department: lower(value.department),
        priority: lower(value.priority),
        reason: value.reason,
        text: value.text,
        status: lower(value.status),
        assignee: value.assignee,
        opened_at: value.openedAt,
        due_at: value.dueAt,
        responded_at: value.respondedAt,
        resolved_at: value.resolvedAt,
        resolved_by: value.resolvedBy,
        updated_at: value.updatedAt,
        version,
      })
      break
    case 'AuditEvent':
      batch.audit(partition, version, value)
      break
    case 'Alert':
      batch.put(alerts, {
        id: value.id,
        venue_id: value.venue,
        conversation_id: value.conversation,
        department: lower(value.department),
        priority: lower(value.priority),
        kind: value.kind,
        text: value.text,
        resolved: value.resolved,
        at: value.at,
        version,
      })
      break
    case 'SyncRun':
      batch.put(syncRuns, {
        id: value.id,
        source: value.source,
        started_at: value.startedAt,
        ended_at: value.endedAt,
        outcome: lower(value.outcome),
        venues: value.venues,
        changed: value.changed,
        errors: value.errors,
        duration_ms: value.durationMs,
        reason: value.reason,
        refusals: value.refusals,
        version,
      })
      break
    case 'SyncRefusals':
      batch.put(syncRefusals, { run_id: value.run, page: value.page, at: value.at, refusals: value.refusals, version })
      break
    case 'DeadLetter':
      batch.put(deadLetters, {
        log_partition: partition,
        log_offset: version,
        topic: value.topic,
        partition: value.partition,
        offset: value.offset,
        key: value.key,
        record_type: value.recordType,
        value: value.value,
        bytes: value.bytes,
        decision: lower(value.decision),
        cause: value.cause,
        code_version: value.codeVersion,
        at: value.at,
      })
  }
}

/** A record without a value deletes what its key names. */
export function projectDeletion(batch: Batch, { topic, key, offset: version }: LogRecord): void {
  if (key === null) return
  if (topic === catalog.venueProfiles.name) {
    batch.put(venues, { id: key, version }, true)
    batch.zonesOf(key, version)
  } else if (topic === catalog.conversationProfiles.name) {
    batch.put(conversations, { id: key, version }, true)
  } else if (topic === catalog.issues.name) {
    batch.put(issues, { id: key, version }, true)
  }
}

function venueRow(venue: VenueProfile, version: number) {
  return {
    id: venue.venue,
    name: venue.name,
    location: venue.location,
    aliases: venue.aliases,
    contact_name: venue.contactName,
    contact_email: venue.contactEmail,
    contact_phone: venue.contactPhone,
    contact_position: venue.contactPosition,
    soundtrack_account_id: venue.soundtrackAccount,
    soundtrack_location_id: venue.soundtrackLocation,
    zone_count: venue.zoneCount,
    subscription_status: venue.subscriptionStatus,
    last_issue_date: venue.lastIssueDate,
    notes: venue.notes,
    priority_level: venue.priorityLevel,
    sla_tier: venue.slaTier,
    volume_cap: venue.volumeCap,
    overrides: venue.overrides.map(({ at, ...override }) => ({ ...override, at: isoTime(at) })),
    commands: venue.commands,
    provenance: Object.fromEntries(venue.provenance.map(({ field, source, at }) => [field, { source, at: isoTime(at) }])),
    removed: venue.removed,
    updated_at: venue.updatedAt,
    version,
  }
}

function conversationRow(conversation: ConversationProfile, version: number) {
  return {
    id: conversation.conversation,
    channel: conversation.channel,
    account: conversation.account,
    user_id: conversation.user,
    state: conversation.state,
    owner: lower(conversation.owner),
    assignee: conversation.assignee,
    trust: lower(conversation.trust),
    senders: conversation.senders,
    language: conversation.language,
    venue_id: conversation.venue,
    venue_name: conversation.venueName,
    contact_name: conversation.contactName,
    contact_position: conversation.contactPosition,
    issue: conversation.issue,
    requests: conversation.requests.map(request => ({
      ...request,
      at: isoTime(request.at),
      endedAt: request.endedAt === null ? null : isoTime(request.endedAt),
    })),
    commands: conversation.commands,
    opened_at: conversation.openedAt,
    updated_at: conversation.updatedAt,
    last_inbound_at: conversation.lastInboundAt,
    version,
  }
}

function lower(symbol: string): string {
  return symbol.toLowerCase()
}
