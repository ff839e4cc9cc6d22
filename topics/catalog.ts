/**
 * Every topic: its key, its record types, how many partitions it has and how long it keeps its records.
 */
import { DAY_MS } from '../domain/time.ts'
import type { RecordName } from '../schemas/types.ts'

export interface Topic<R extends RecordName = RecordName> {
  readonly name: string
  /** What the key is, for people. */
  readonly key: string
  readonly records: readonly R[]
  readonly partitions: number
  readonly cleanup: 'delete' | 'compact'
  /** How long records are kept, ms; null: forever. Compacted topics keep the newest record of each key. */
  readonly retentionMs: number | null
  /** Why its records are never deleted, if they are not. */
  readonly keptForever: string | null
}

/** Records that the engine itself writes to every inbox. */
export const ENGINE_RECORDS = ['TimerDue', 'EffectEnded', 'Redrive'] as const
export type EngineRecord = (typeof ENGINE_RECORDS)[number]

/** Record types of every changelog. */
export const CHANGELOG_RECORDS = [
  'Envelope',
  'LedgerInput',
  'TaskPosition',
  'LogIdentity',
  'SchemaText',
  'TaskStop',
  'TaskInbox',
  'TaskDecision',
] as const

const topics = new Map<string, Topic>()

export interface TopicOptions {
  readonly partitions?: number
  readonly keepDays?: number | null
  readonly cleanup?: 'delete' | 'compact'
  readonly keptForever?: string
}

/** Every topic of the catalog says how long it keeps its records, or why it keeps them forever. */
type Retention = TopicOptions &
  ({ readonly keepDays: number } | { readonly cleanup: 'compact' } | { readonly keptForever: string })

/** A topic outside the catalog, for tests and benchmarks. */
export function defineTopic<R extends RecordName>(
  name: string,
  key: string,
  records: readonly R[],
  options: TopicOptions = {},
): Topic<R> {
  const { partitions = PARTITIONS, keepDays = null, cleanup = 'delete', keptForever = null } = options
  return { name, key, records, partitions, cleanup, retentionMs: keepDays === null ? null : keepDays * DAY_MS, keptForever }
}

function topic<R extends RecordName>(name: string, key: string, records: readonly R[], options: Retention): Topic<R> {
  const defined = defineTopic(name, key, records, options)
  topics.set(name, defined)
  return defined
}

function inbox<R extends RecordName>(name: string, key: string, records: readonly R[], keepDays: number, partitions?: number) {
  return topic(name, key, [...records, ...ENGINE_RECORDS], partitions === undefined ? { keepDays } : { keepDays, partitions })
}

/** Partitions of conversation and venue topics: final once the topics are created. */
const PARTITIONS = 6
/** For connectors that share the budget of one credential, and for topics with one order. */
const SINGLE_PARTITION = 1

export const conversationInbox = inbox(
  'conversation.inbox',
  'conversation',
  ['ChatMessage', 'DeliveryStatus', 'Understood', 'VenueAnswer', 'SendOutcome', 'AgentAction', 'ErasePerson'],
  30,
)
/** What look-ups answered: how messages were understood, and settings. Copartitioned with the inbox, and kept as long. */
export const conversationJournal = topic('conversation.journal', 'conversation', ['Understood', 'TenantSettings'], {
  keepDays: 30,
})
export const conversationProfiles = topic('conversation.profiles', 'conversation', ['ConversationProfile'], {
  cleanup: 'compact',
})
export const conversationEvents = topic('conversation.events', 'conversation', ['ConversationEvent'], {
  keptForever: 'the history of conversations, without texts or persons: tables and analytics are rebuilt from it',
})

/** What a person must take care of. */
export const issues = topic('issues', 'issue', ['Issue'], { cleanup: 'compact' })

export const venueInbox = inbox(
  'venue.inbox',
  'venue',
  ['SheetRow', 'ZoneSnapshot', 'ZoneRequest', 'ZoneResult', 'VenueOverride', 'VenueRefresh'],
  7,
)
/** Settings that look-ups answered. Copartitioned with the inbox, and kept as long. */
export const venueJournal = topic('venue.journal', 'venue', ['TenantSettings'], { keepDays: 7 })
export const venueProfiles = topic('venue.profiles', 'venue', ['VenueProfile'], { cleanup: 'compact' })
export const venueEvents = topic('venue.events', 'venue', ['VenueEvent'], {
  keptForever: 'the history of zones and commands, a record for each change: tables and analytics are rebuilt from it',
})

const channels = new Map<string, ChannelInbox>()

/** The inbox of a channel's connector. Every channel has its own, with the same records. */
function channelInbox(channel: string) {
  const made = inbox(`${channel}.inbox`, 'conversation', ['SendMessage', 'DeliveryStatus', 'SendResult', 'ErasePerson'], 30)
  channels.set(channel, made)
  return made
}
export type ChannelInbox = Topic<'SendMessage' | 'DeliveryStatus' | 'SendResult' | 'ErasePerson' | EngineRecord>

export const whatsappInbox = channelInbox('whatsapp')

/** The inbox of every channel, by the channel's name. */
export function channelInboxes(): ReadonlyMap<string, ChannelInbox> {
  return channels
}

export const soundtrackInbox = inbox(
  'soundtrack.inbox',
  'account, or account:zone',
  ['WatchVenue', 'PollSooner', 'ZoneCommand', 'ZonesRead', 'CommandDone'],
  3,
  SINGLE_PARTITION,
)
/** Key of a zone's commands and readings on soundtrack.inbox. Ids have no colon; one typed by hand is encoded, so it cannot clash. */
export function zoneKey(account: string, zone: string): string {
  return `${encodeURIComponent(account)}:${encodeURIComponent(zone)}`
}

export const sheetsInbox = inbox(
  'sheets.inbox',
  'sheet, or sheet:bucket',
  ['SyncNow', 'SheetPart', 'SheetBucket', 'SheetBucketTaken'],
  3,
  SINGLE_PARTITION,
)

export const tenantInbox = inbox('tenant.inbox', 'tenant', ['TenantChange'], 30, SINGLE_PARTITION)
/** What each tenant has decided: hours, languages, who may control. Few and small. */
export const tenantSettings = topic('tenant.settings', 'tenant', ['TenantSettings'], {
  partitions: SINGLE_PARTITION,
  cleanup: 'compact',
})

export const alerts = topic('alerts', 'venue', ['Alert'], { keepDays: 90 })
export const syncLog = topic('sync.log', 'source', ['SyncRun', 'SyncRefusals'], {
  keptForever:
    'what each source said and when it was silent, a record for each change: the proof towards the operator of the source',
})
/** Every operation through the API: one partition, so that its order is the order of the hash chain. */
export const auditLog = topic('audit.log', 'who did it', ['AuditEvent'], {
  partitions: SINGLE_PARTITION,
  keptForever: 'a hash chain without its beginning proves nothing',
})
export const deadLetters = topic('dead.letters', 'key of the record', ['DeadLetter'], { keepDays: 30 })

/** The changelog of an actor, with as many partitions as its inbox. */
export function changelog(actor: string, inbox: Topic): Topic {
  return defineTopic(`${actor}.changelog`, inbox.key, CHANGELOG_RECORDS, { partitions: inbox.partitions, cleanup: 'compact' })
}

/** Partitions of a topic on a cluster: this number for every topic that has several on one machine. */
export function partitionsOnCluster({ partitions }: Topic, several: number): number {
  return partitions === SINGLE_PARTITION ? SINGLE_PARTITION : several
}

/** @throws when the catalog has no topic of this name */
export function topicNamed(name: string): Topic {
  const found = topics.get(name)
  if (found === undefined) throw new Error(`no topic named "${name}" in the catalog`)
  return found
}

export function allTopics(): Topic[] {
  return [...topics.values()]
}
