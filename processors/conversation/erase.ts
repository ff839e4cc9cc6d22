/** Erasure of a person: removes what they wrote and who they were; the fact that a conversation took place is kept. */
import type { ErasePerson } from '../../schemas/types.ts'
import { conversationEvents, conversationProfiles, issues } from '../../topics/catalog.ts'
import type { ConversationChannel } from './settings.ts'
import type { State, TurnContext } from './context.ts'

/**
 * Removes the conversation from every compacted topic, and asks the connector to forget what it sent. Results that are still on
 * their way find no state and change nothing.
 */
export function erase(
  state: State | null,
  { id, channel, issues: known }: ErasePerson,
  context: TurnContext,
  channels: readonly ConversationChannel[],
): null {
  const { key, now } = context
  context.remove(conversationProfiles, key)
  const open = state?.handover?.first
  for (const issue of new Set(open === undefined ? known : [...known, open])) context.remove(issues, issue)
  context.emit(conversationEvents, key, 'ConversationEvent', {
    id: context.id(),
    conversation: key,
    channel,
    kind: 'ERASED',
    detail: id,
    at: now,
  })
  const inbox = channels.find(({ name }) => name === channel)?.inbox
  if (inbox !== undefined) context.emit(inbox, key, 'ErasePerson', { id, channel, at: now })
  return null
}
