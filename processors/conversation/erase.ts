/** The end of a conversation whose person is erased: what they wrote and who they were goes, that it was so stays. */
import type { ErasePerson } from '../../schemas/types.ts'
import { conversationEvents, conversationProfiles, issues } from '../../topics/catalog.ts'
import type { ConversationChannel } from './settings.ts'
import type { State, TurnContext } from './context.ts'

/**
 * Has every topic that keeps the newest record of a key forget this one, and the connector forget what it sent. What is still under
 * way finds no state when it comes back, and changes nothing.
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
