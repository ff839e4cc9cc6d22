/**
 * Every topic: its key, its record types, how many partitions it has and how long it keeps its records.
 */
import type { RecordName } from '../schemas/types.ts'

export interface Topic<R extends RecordName = RecordName> {
  readonly name: string
  /** What the key is, for people. */
  readonly key: string
  readonly records: readonly R[]
  readonly partitions: number
  readonly cleanup: 'delete' | 'compact'
  /** How long records are kept, ms; null for ever. Compacted topics keep the newest of each key. */
  readonly retentionMs: number | null
  /** Why nothing of it is ever removed, where that was decided. */
  readonly forEver: string | null
}

/** Records that the engine itself puts on every inbox. */
export const ENGINE_RECORDS = ['TimerDue', 'EffectEnded', 'Redrive'] as const
export type EngineRecord = (typeof ENGINE_RECORDS)[number]

/** Records of every changelog. */
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

const DAY = 24 * 60 * 60 * 1000
const topics = new Map<string, Topic>()

export interface TopicOptions {
  readonly partitions?: number
  readonly keepDays?: number | null
  readonly cleanup?: 'delete' | 'compact'
  readonly forEver?: string
}

/** What every topic of the catalog decides: how long it keeps its records, or why it never lets go of them. */
type Decided = TopicOptions & ({ readonly keepDays: number } | { readonly cleanup: 'compact' } | { readonly forEver: string })

/** A topic outside the catalog, for tests and benchmarks. */
export function defineTopic<R extends RecordName>(
  name: string,
  key: string,
  records: readonly R[],
  options: TopicOptions = {},
): Topic<R> {
  const { partitions = PARTITIONS, keepDays = null, cleanup = 'delete', forEver = null } = options
  return { name, key, records, partitions, cleanup, retentionMs: keepDays === null ? null : keepDays * DAY, forEver }
}

function topic<R extends RecordName>(name: string, key: string, records: readonly R[], options: Decided): Topic<R> {
  const made = defineTopic(name, key, records, options)
  topics.set(name, made)
  return made
}

function inbox<R extends RecordName>(name: string, key: string, records: readonly R[], keepDays: number, partitions?: number) {
  return topic(name, key, [...records, ...ENGINE_RECORDS], partitions === undefined ? { keepDays } : { keepDays, partitions })
}

/** Partitions of conversation and venue topics: final once the topics are made. */
const PARTITIONS = 6
/** A connector bound to the budget of one credential has one, and what has one order. */
const ONE = 1

export const conversationInbox = inbox(
  'conversation.inbox',
  'conversation',
  ['ChatMessage', 'DeliveryStatus', 'Understood', 'VenueAnswer', 'SendOutcome', 'AgentAction', 'ErasePerson'],
  30,
)
/** What was looked up: what messages were understood as, and settings. Partition for partition as the inbox, and kept as long. */
export const conversationJournal = topic('conversation.journal', 'conversation', ['Understood', 'TenantSettings'], {
  keepDays: 30,
})
export const conversationProfiles = topic('conversation.profiles', 'conversation', ['ConversationProfile'], {
  cleanup: 'compact',
})
export const conversationEvents = topic('conversation.events', 'conversation', ['ConversationEvent'], {
  forEver: 'the history of what was said and done, without a word of it or a person: tables and analytics are made anew from it',
})

/** What a human has to see to. */
export const issues = topic('issues', 'issue', ['Issue'], { cleanup: 'compact' })

export const venueInbox = inbox(
  'venue.inbox',
  'venue',
  ['SheetRow', 'ZoneSnapshot', 'ZoneRequest', 'ZoneResult', 'VenueOverride', 'VenueRefresh'],
  7,
)
/** Settings that were looked up. Partition for partition as the inbox, and kept as long. */
export const venueJournal = topic('venue.journal', 'venue', ['TenantSettings'], { keepDays: 7 })
export const venueProfiles = topic('venue.profiles', 'venue', ['VenueProfile'], { cleanup: 'compact' })
export const venueEvents = topic('venue.events', 'venue', ['VenueEvent'], {
  forEver: 'the history of zones and commands, a record for each change: tables and analytics are made anew from it',
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
  ONE,
)
/** Key of a zone on soundtrack.inbox, for its commands and its readings. Ids hold no colon, and one typed by hand cannot clash. */
export function zoneKey(account: string, zone: string): string {
  return `${encodeURIComponent(account)}:${encodeURIComponent(zone)}`
}

export const sheetsInbox = inbox(
  'sheets.inbox',
  'sheet, or sheet:bucket',
  ['SyncNow', 'SheetPart', 'SheetBucket', 'SheetBucketTaken'],
  3,
  ONE,
)

export const tenantInbox = inbox('tenant.inbox', 'tenant', ['TenantChange'], 30, ONE)
/** What each tenant has decided: hours, languages, who may control. Few and small. */
export const tenantSettings = topic('tenant.settings', 'tenant', ['TenantSettings'], { partitions: ONE, cleanup: 'compact' })

export const alerts = topic('alerts', 'venue', ['Alert'], { keepDays: 90 })
export const syncLog = topic('sync.log', 'source', ['SyncRun', 'SyncRefusals'], {
  forEver:
    'what each source said and when it was silent, a record for each change of that: the proof towards who runs the source',
})
/** Every operation through the API: one partition, so that its order is that of the chain of hashes. */
export const auditLog = topic('audit.log', 'who did it', ['AuditEvent'], {
  partitions: ONE,
  forEver: 'a chain of hashes without its beginning proves nothing',
})
export const deadLetters = topic('dead.letters', 'key of the record', ['DeadLetter'], { keepDays: 30 })

/** The changelog of an actor: as many partitions as its inbox. */
export function changelog(actor: string, inbox: Topic): Topic {
  return defineTopic(`${actor}.changelog`, inbox.key, CHANGELOG_RECORDS, { partitions: inbox.partitions, cleanup: 'compact' })
}

/** Partitions of a topic on a cluster: so many where it has several on one machine. */
export function partitionsOnCluster({ partitions }: Topic, several: number): number {
  return partitions === ONE ? ONE : several
}

/** A topic by its name. @throws when the catalog has none of that name. */
export function topicNamed(name: string): Topic {
  const found = topics.get(name)
  if (found === undefined) throw new Error(`no topic named "${name}" in the catalog`)
  return found
}

export function allTopics(): Topic[] {
  return [...topics.values()]
}
