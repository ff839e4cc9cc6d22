/**
 * The conversation's profile, as other services and people see it.
 */
import type { ConversationProfileInput } from '../../schemas/types.ts'
import type { State, TurnContext } from './context.ts'

export function profile(state: State, context: TurnContext): ConversationProfileInput {
  const contact = state.senders.find(s => s.id === state.user)
  return {
    conversation: context.key,
    channel: state.channel,
    account: state.account,
    user: state.user,
    state: state.state,
    owner: state.owner,
    trust: contact?.trust ?? 'CLAIMED',
    senders: state.senders.map(({ id, name, trust }) => ({ id, name, trust: trust.toLowerCase() })),
    language: state.language,
    venue: state.venue,
    venueName: state.venueName,
    contactName: state.contactName,
    contactPosition: state.contactPosition,
    issue: state.issue,
    requests: state.requests.map(({ id, kind, zones, zoneName, value, outcome, reason, command, at, endedAt }) => ({
      id,
      kind: kind.toLowerCase(),
      zone: zones.length === 1 ? (zones[0] as string) : null,
      zoneName,
      value,
      outcome,
      reason,
      command,
      at,
      endedAt,
    })),
    assignee: state.assignee,
    commands: context.commands.map(({ id, outcome, reason, code }) => ({ id, outcome, reason, code })),
    openedAt: state.openedAt,
    updatedAt: state.updatedAt,
    lastInboundAt: state.lastInboundAt,
  }
}
