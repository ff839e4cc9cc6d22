/**
 * The queue of messages in a conversation's state, within the size limit of a state.
 */
import type { QueuedMessage } from '../../schemas/types.ts'

const MAX_MESSAGES_WAITING = 20
/** Bytes of text that the state keeps of one message, and of all that wait: UTF-8 takes three for a Thai letter. */
const MAX_TEXT_BYTES = 1_500
const MAX_WAITING_TEXT_BYTES = 3_000

/** Whether the queue has room for another message. */
export function roomFor(waiting: readonly QueuedMessage[], message: QueuedMessage): boolean {
  if (waiting.length === 0) return true
  const bytes = [...waiting, message].reduce((sum, { text }) => sum + Math.min(Buffer.byteLength(text), MAX_TEXT_BYTES), 0)
  return waiting.length < MAX_MESSAGES_WAITING && bytes <= MAX_WAITING_TEXT_BYTES
}

/** A message as kept in the state: its text is cut. */
export function kept(message: QueuedMessage): QueuedMessage {
  return { ...message, text: keptText(message.text) }
}

export function keptText(text: string): string {
  if (Buffer.byteLength(text) <= MAX_TEXT_BYTES) return text
  return new TextDecoder().decode(Buffer.from(text).subarray(0, MAX_TEXT_BYTES)).replace(/\uFFFD+$/, '')
}
