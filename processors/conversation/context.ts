/**
 * What a conversation's handlers work with: its state, and what they may write, ask and have done.
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

/** Topics that every conversation writes to, besides the inboxes of its channels. */
export const EMITS = [venueInbox, conversationEvents, conversationProfiles, issues, alerts] as const

export const EFFECTS = {
  understand: { input: 'Understand', result: 'Understood', retry: 'idempotent', timeoutMs: 5_000 },
} as const

export const LOOKUPS = {
  /** Answers at once where the venue index has all that it takes; otherwise the effect of the same name waits for it. */
  understand: { input: 'Understand', result: 'Understood' },
  /** Answers where the tenant has settings that are not known yet. */
  tenant: { input: 'TenantAsked', result: 'TenantSettings' },
} as const

export type TurnContext = Context<(typeof EMITS)[number] | ChannelInbox, typeof EFFECTS, typeof LOOKUPS>
