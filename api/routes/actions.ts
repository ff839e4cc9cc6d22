/** What a person of support does in a conversation. */
import { Type } from 'typebox'
import type { AgentActionInput } from '../../schemas/types.ts'
import { masked } from '../masks.ts'
import type { Fingerprint } from '../access/fingerprint.ts'
import { oneOf } from '../schemas.ts'

export const Words = Type.String({ minLength: 1, maxLength: 4_096 })
/** A person of support does this; the body's fields go into the record. */
export const ACTIONS = {
  'take-over': { kind: 'TAKE_OVER', summary: 'Take a conversation over: the bot is silent in it', body: {} },
  'hand-back': { kind: 'HAND_BACK', summary: 'Give a conversation back to the bot', body: {} },
  replies: { kind: 'REPLY', summary: 'Write to the person, taking over', body: { text: Words } },
  notes: {
    kind: 'NOTE',
    summary: 'Leave a note for colleagues',
    body: { text: Type.String({ minLength: 1, maxLength: 4_000 }) },
  },
  assign: {
    kind: 'ASSIGN',
    summary: 'Give a conversation to somebody of support, or to nobody',
    body: { assignee: Type.Unsafe<string | null>({ type: ['string', 'null'], minLength: 1, maxLength: 200 }) },
  },
  resolve: { kind: 'RESOLVE', summary: 'End what was handed over', body: { text: Type.Optional(Words) } },
  approve: {
    kind: 'APPROVE',
    summary: 'Set what a sender may do at a venue, up or down; refused where the conversation is of another venue by now',
    body: {
      sender: Type.String({ minLength: 1, maxLength: 200 }),
      venue: Type.String({ minLength: 1, maxLength: 500, description: 'of the conversation, as it was read before approving' }),
      trust: oneOf('claimed', 'hinted', 'bound'),
      text: Type.Optional(Words),
    },
  },
} as const

export type Action = Partial<AgentActionInput> & Pick<AgentActionInput, 'kind'>

/** What of a conversation an action is about. */
export interface Seen {
  readonly venue: string | null
  readonly owner: string
  readonly assignee: string | null
  readonly senders: readonly { readonly id: string; readonly trust: string }[]
}

/** What the audit trail tells of an action: what it was about, before and after. */
export function changeOf(
  { owner, assignee, senders }: Seen,
  { kind, sender, venue, trust, text, ...to }: Action,
  by: string,
  fingerprint: Fingerprint,
): { before: string; after: string } {
  if (kind === 'APPROVE') {
    const whom = `${masked(sender ?? '')} at ${venue}`
    const now = senders.find(one => one.id === sender)?.trust ?? 'no sender'
    return { before: `${whom}: ${now}`, after: `${whom}: ${trust?.toLowerCase()}` }
  }
  const after = {
    TAKE_OVER: `owner agent, assignee ${by}`,
    HAND_BACK: 'owner bot',
    REPLY: `text ${fingerprint(text)}`,
    NOTE: `note ${fingerprint(text)}`,
    ASSIGN: `assignee ${to.assignee ?? 'none'}`,
    RESOLVE: 'owner bot, resolved',
    UNKNOWN: 'unknown',
  }[kind]
  return { before: `owner ${owner}, assignee ${assignee ?? 'none'}`, after }
}
