/**
 * Takes what a channel's provider delivers: every message and status is in the log before the delivery is confirmed, and what cannot
 * be read goes to the dead letters.
 */
import type { Channel } from '../../domain/channel.ts'
import { conversationId, reference } from '../../domain/ids.ts'
import { RECORD_AT, RECORD_ID } from '../../engine/headers.ts'
import { withTimeout } from '../../domain/timeout.ts'
import { type ChannelInbox, conversationInbox, deadLetters } from '../../topics/catalog.ts'
import { CodecError } from '../../topics/codec.ts'
import { type Append, MAX_RECORD_BYTES } from '../../topics/log.ts'
import type { ParsedWebhook, ReceiveContext } from './webhook.ts'

/** Providers give up sooner or later and send again; what the log takes after this time is recognised then. */
const APPEND_MS = 10_000
/** What is kept of a refused part; a longer one is no longer valid JSON. */
const MAX_PART_BYTES = 64 * 1024

/** @throws when the log has not taken all of it in time; what it took is recognised when it is delivered again */
export async function receive(channel: Channel<ChannelInbox>, parsed: ParsedWebhook, context: ReceiveContext) {
  const { records, parts } = recordsOf(channel, parsed, context)
  if (records.length > 0) await withTimeout(context.log.append(records), APPEND_MS)
  return parts
}

/** The records of a webhook: messages to their conversations, statuses to the connector, the rest to the dead letters. */
function recordsOf(
  { name, inbox }: Channel<ChannelInbox>,
  { messages, statuses, refused }: ParsedWebhook,
  { codec, tenantKey }: ReceiveContext,
) {
  const records: Append[] = []
  const parts = { message: 0, status: 0, refused: 0 }

  const refuse = (path: string, reason: string, part: unknown) => {
    parts.refused++
    const value = codec.encode(deadLetters.name, 'DeadLetter', {
      topic: `webhooks/${name}`,
      partition: -1,
      offset: -1,
      key: path,
      recordType: '',
      value: Buffer.from(JSON.stringify(part) ?? '').subarray(0, MAX_PART_BYTES),
      decision: 'REFUSED',
      cause: reason,
      at: Date.now(),
    })
    records.push({ topic: deadLetters.name, key: path, value })
  }
  const take = (part: 'message' | 'status', content: unknown, encode: () => Append) => {
    try {
      const record = encode()
      if ((record.value?.length ?? 0) > MAX_RECORD_BYTES - HEADER_ROOM_BYTES)
        throw new CodecError('invalid', 'too large for a record')
      records.push(record)
      parts[part]++
    } catch (error) {
      if (!(error instanceof CodecError)) throw error
      refuse(part, error.message, content)
    }
  }

  for (const message of messages) {
    take('message', message, () => ({
      topic: conversationInbox.name,
      key: conversationId(tenantKey, message.channel, message.account, message.chat),
      value: codec.encode(conversationInbox.name, 'ChatMessage', message),
      // A digest: the id is remembered for longer than the message, and may hold a phone number.
      headers: { [RECORD_ID]: reference(message.id), [RECORD_AT]: String(message.sentAt) },
    }))
  }
  for (const { status, conversation, recipient, account } of statuses) {
    const key = conversation ?? (recipient === null ? null : conversationId(tenantKey, name, account, recipient))
    if (key === null) {
      refuse('status', 'nothing in it says which conversation it belongs to', status)
      continue
    }
    take('status', status, () => ({
      topic: inbox.name,
      key,
      value: codec.encode(inbox.name, 'DeliveryStatus', status),
      headers: { [RECORD_ID]: `${reference(status.providerId)}:${status.status}`, [RECORD_AT]: String(status.at) },
    }))
  }
  for (const { path, reason, part } of refused) refuse(path, reason, part)
  return { records, parts }
}

/** Room for key and headers beside the value of a record. */
const HEADER_ROOM_BYTES = 8 * 1024
