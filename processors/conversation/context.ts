/**
 * The state of a conversation, and the topics, effects and look-ups that its handlers use.
 */
import type { Context } from '../../engine/actor.ts'
import type { Records } from '../../schemas/types.ts'
import { alerts, type ChannelInbox, conversationEvents, conversationProfiles, issues, venueInbox } from '../../topics/catalog.ts'

export type State = Records['ConversationState']

export type Dialogue =
  | 'INITIAL'
  | 'ASKING_VENUE_NAME'
  | 'CONFIRMING_VENUE'
  | 'MULTIPLE_MATCHES'
  | 'ASKING_PERSON_NAME'
  | 'ASKING_POSITION'
  | 'ASKING_ISSUE'
  | 'IDENTIFIED'
  | 'NOT_FOUND'

/** Topics that every conversation emits to, besides the inboxes of its channels. */
export const EMITS = [venueInbox, conversationEvents, conversationProfiles, issues, alerts] as const

export const EFFECTS = {
  understand: { input: 'Understand', result: 'Understood', retry: 'idempotent', timeoutMs: 5_000 },
} as const

export const LOOKUPS = {
  /** Answers at once if the venue index has everything needed; otherwise the effect of the same name waits for it. */
  understand: { input: 'Understand', result: 'Understood' },
  /** Answers when the tenant's settings are newer than the known version. */
  tenant: { input: 'TenantAsked', result: 'TenantSettings', unnumbered: true },
} as const

export type TurnContext = Context<(typeof EMITS)[number] | ChannelInbox, typeof EFFECTS, typeof LOOKUPS>
