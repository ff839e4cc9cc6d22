/** What support agents do in a conversation. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { Type } from 'typebox'
import type { AgentActionInput } from '../../schemas/types.ts'
import { conversationInbox } from '../../topics/catalog.ts'
import type { Fingerprint } from '../access/fingerprint.ts'
import { permission } from '../access/principal.ts'
import { WriteHeaders, written } from '../command-schemas.ts'
import type { Commands, CommandTarget } from '../commands.ts'
import type { ConversationCache } from '../conversation-cache.ts'
import { masked } from '../masks.ts'
import { IdParams, oneOf } from '../schemas.ts'
import type { Api } from '../types.ts'
import { type ConversationHead, requireConversation } from './conversation-reader.ts'

const WRITE = permission('conversations:write', ['admin', 'agent'])
const APPROVE = permission('conversations:approve', ['admin', 'agent'])
export const permissions = { WRITE, APPROVE }

const CONVERSATION: CommandTarget = { name: 'conversation', inbox: conversationInbox, profiles: 'conversations' }
export const targets = [CONVERSATION]

const MessageText = Type.String({ minLength: 1, maxLength: 4_096 })
/** By path; the fields of the body go into the record. */
const ACTIONS = {
  'take-over': { kind: 'TAKE_OVER', summary: 'Take over a conversation: the bot no longer replies', body: {} },
  'hand-back': { kind: 'HAND_BACK', summary: 'Hand a conversation back to the bot', body: {} },
  replies: { kind: 'REPLY', summary: 'Reply to the person, taking over the conversation', body: { text: MessageText } },
  notes: {
    kind: 'NOTE',
    summary: 'Leave a note for colleagues',
    body: { text: Type.String({ minLength: 1, maxLength: 4_000 }) },
  },
  assign: {
    kind: 'ASSIGN',
    summary: 'Assign a conversation to a support agent, or to nobody',
    body: { assignee: Type.Unsafe<string | null>({ type: ['string', 'null'], minLength: 1, maxLength: 200 }) },
  },
  resolve: { kind: 'RESOLVE', summary: 'Resolve a handover', body: { text: Type.Optional(MessageText) } },
  approve: {
    kind: 'APPROVE',
    summary: 'Raise or lower what a sender may do at a venue; refused if the conversation has moved to another venue',
    body: {
      sender: Type.String({ minLength: 1, maxLength: 200 }),
      venue: Type.String({
        minLength: 1,
        maxLength: 500,
        description: 'The venue of the conversation, as read before approving',
      }),
      trust: oneOf('claimed', 'hinted', 'bound'),
      text: Type.Optional(MessageText),
    },
  },
} as const

type Action = Partial<AgentActionInput> & Pick<AgentActionInput, 'kind'>

interface Body {
  readonly text?: string
  readonly assignee?: string | null
  readonly sender?: string
  readonly venue?: string
  readonly trust?: string
}

export interface Context {
  readonly pool: pg.Pool
  readonly commands: Commands
  readonly fingerprint: Fingerprint
  readonly conversations: ConversationCache
}

export function routes(app: Api, { pool, commands, fingerprint, conversations }: Context): void {
  for (const [path, { kind, summary, body }] of Object.entries(ACTIONS)) {
    const permission = kind === 'APPROVE' ? APPROVE : WRITE
    const schema = { summary, params: IdParams, headers: WriteHeaders, response: written }
    app.post(
      `/conversations/:id/${path}`,
      {
        config: { permission, personal: true, action: `conversations.${kind.toLowerCase()}` },
        schema: Object.keys(body).length === 0 ? schema : { ...schema, body: Type.Object(body, { additionalProperties: false }) },
      },
      async (request, reply) => {
        const { trust, ...rest } = (request.body ?? {}) as Body
        const level = trust === undefined ? {} : { trust: trust.toUpperCase() as 'CLAIMED' | 'HINTED' | 'BOUND' }
        return submit(request, reply, request.params.id, { ...rest, ...level, kind })
      },
    )
  }

  app.post(
    '/messages',
    {
      config: { permission: WRITE, personal: true, action: 'conversations.reply' },
      schema: {
        summary: 'Reply to the person of a conversation, taking it over',
        headers: WriteHeaders,
        body: Type.Object(
          { conversation: Type.String({ minLength: 1, maxLength: 500 }), text: MessageText },
          { additionalProperties: false },
        ),
        response: written,
      },
    },
    async (request, reply) => submit(request, reply, request.body.conversation, { kind: 'REPLY', text: request.body.text }),
  )

  async function submit(
    request: FastifyRequest,
    reply: FastifyReply,
    conversation: string,
    action: Action,
  ): Promise<FastifyReply> {
    const { principal } = request
    const found = await requireConversation(pool, principal, conversation)
    Object.assign(request.audited, changeOf(found, action, principal.id, fingerprint))
    try {
      return await commands.submit(request, reply, {
        target: CONVERSATION.name,
        object: conversation,
        topic: conversationInbox,
        key: conversation,
        type: 'AgentAction',
        record: (id, at) => ({ ...action, id, at, by: principal.id, byName: principal.name }),
      })
    } finally {
      // The next read must show the action, whether Postgres has notified us or not.
      conversations.forget(conversation)
    }
  }
}

/** The change that the audit trail records, before and after. */
function changeOf(
  { owner, assignee, senders }: ConversationHead,
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
