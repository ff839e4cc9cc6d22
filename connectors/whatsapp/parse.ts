/**
 * What Meta's webhook brings: every message and status of every change of every entry.
 * https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks
 */
import type { AttachmentInput, ChatMessageInput, MessageKind, ProviderStatus } from '../../schemas/types.ts'
import type { ParsedStatus, ParsedWebhook, RefusedPart } from '../channel/webhook.ts'
import { decodeCallbackData } from './callback-data.ts'
import { whatsappChannel } from './channel.ts'

const { name: CHANNEL } = whatsappChannel
/** Longest text that is kept, in UTF-16 units; WhatsApp itself ends at 4,096. */
export const MAX_TEXT_CHARS = 5000

/** Reads a webhook's body. Fields and types that it does not know are tolerated. @param receivedAt ms since the epoch */
export function parseWebhook(body: unknown, receivedAt: number): ParsedWebhook {
  const messages: ChatMessageInput[] = []
  const statuses: ParsedStatus[] = []
  const refused: RefusedPart[] = []

  const good = (path: string, part: unknown, read: () => void) => {
    try {
      read()
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      refused.push({ path, reason: error.message, part })
    }
  }
  const each = (path: string, list: unknown, read: (item: Fields, path: string) => void) => {
    if (list === undefined || list === null) return
    good(path, list, () => {
      if (!Array.isArray(list)) throw new Malformed('is not a list')
      for (const [n, item] of list.entries()) {
        const at = `${path}[${n}]`
        good(at, item, () => read(fields(item, 'it'), at))
      }
    })
  }

  const change = ({ field, value }: Fields, path: string) => {
    if (text(field, 'field') !== 'messages') return
    const found = fields(value, 'value')
    const account = text(fields(found.metadata, 'metadata').phone_number_id, 'phone_number_id')
    each(`${path}.value.messages`, found.messages, message => {
      if (message.type === 'system') return // Meta's own notice, such as a changed number: nobody wrote it
      messages.push(messageOf(message, contactsOf(found.contacts), account, receivedAt))
    })
    each(`${path}.value.statuses`, found.statuses, status => void statuses.push(statusOf(status, account)))
  }
  good('', body, () => {
    const { entry } = fields(body, 'the body')
    if (!Array.isArray(entry)) throw new Malformed('entry is not a list')
    each('entry', entry, ({ changes }, path) => each(`${path}.changes`, changes, change))
  })
  return { messages, statuses, refused }
}

type Fields = Readonly<Record<string, unknown>>
class Malformed extends Error {}

function messageOf(message: Fields, contacts: readonly Fields[], account: string, receivedAt: number): ChatMessageInput {
  const id = text(message.id, 'id')
  const { from, from_user_id: fromUser } = message
  const contact =
    contacts.find(c => (isText(from) && c.wa_id === from) || (isText(fromUser) && c.user_id === fromUser)) ??
    (contacts.length === 1 ? contacts[0] : undefined)
  const { chat, phone } = userOf(from ?? contact?.wa_id, fromUser ?? contact?.user_id)
  const name = optional(optional(contact?.profile, isFields)?.name, isText)
  const { kind, words, actionId } = contentOf(message)
  const kept = words === null ? null : cut(words)
  return {
    id,
    channel: CHANNEL,
    account,
    chat,
    sender: { id: chat, phone, name },
    kind,
    text: kept,
    actionId,
    replyTo: optional(optional(message.context, isFields)?.id, isText),
    sentAt: millis(message.timestamp),
    receivedAt,
    truncated: kept !== words,
    // The Cloud API has no groups: every message is addressed to us.
    chatKind: 'PRIVATE',
    attachments: attachmentsOf(message),
  }
}

const FILES: readonly unknown[] = ['image', 'video', 'audio', 'document', 'sticker']

/** The file of a message. Its content stays with Meta; who wants it asks for it by its id. */
function attachmentsOf({ type, ...message }: Fields): AttachmentInput[] {
  if (!isText(type) || !FILES.includes(type)) return []
  const { id, mime_type: mimeType, filename: fileName, file_size: bytes } = optional(message[type], isFields) ?? {}
  if (!isText(id)) return []
  return [{ id, mimeType: optional(mimeType, isText), fileName: optional(fileName, isText), bytes: optional(bytes, isInt) }]
}

interface Content {
  readonly kind: MessageKind
  readonly words: string | null
  readonly actionId: string | null
}

function contentOf(message: Fields): Content {
  const type = text(message.type, 'type')
  const inside = () => fields(message[type], type)
  const plain = (kind: MessageKind, words: string | null = null): Content => ({ kind, words, actionId: null })
  switch (type) {
    case 'text':
      return plain('TEXT', string(inside().body, 'text.body'))
    case 'button': // quick reply of a template
      return { kind: 'BUTTON', words: string(inside().text, 'button.text'), actionId: optional(inside().payload, isText) }
    case 'interactive':
      return interactive(inside())
    case 'reaction': // without an emoji where the reaction was taken back
      return plain('REACTION', optional(inside().emoji, isString))
    case 'image':
    case 'video':
    case 'document':
      return plain('MEDIA', optional(inside().caption, isString))
    case 'audio':
      return plain('MEDIA')
    case 'sticker':
      return plain('STICKER')
    case 'location':
      return plain('LOCATION')
    case 'contacts':
      return plain('CONTACT')
    case 'order':
      return plain('OTHER')
    default:
      return plain('UNKNOWN')
  }
}

function interactive(content: Fields): Content {
  const type = text(content.type, 'interactive.type')
  if (type !== 'button_reply' && type !== 'list_reply') return { kind: 'OTHER', words: null, actionId: null }
  const reply = fields(content[type], type)
  return {
    kind: type === 'button_reply' ? 'BUTTON' : 'LIST',
    words: string(reply.title, `${type}.title`),
    actionId: text(reply.id, `${type}.id`),
  }
}

const STATUSES = new Map<string, ProviderStatus>([
  ['sent', 'SENT'],
  ['delivered', 'DELIVERED'],
  ['read', 'READ'],
  ['played', 'READ'], // a voice message that was listened to
  ['failed', 'FAILED'],
])

function statusOf(status: Fields, account: string): ParsedStatus {
  const ours = decodeCallbackData(status.biz_opaque_callback_data)
  const known = STATUSES.get(text(status.status, 'status')) ?? 'UNKNOWN'
  const error = known === 'FAILED' && Array.isArray(status.errors) ? optional(status.errors[0], isFields) : null
  const details = optional(error?.error_data, isFields)?.details
  const words = [details, error?.message, error?.title].find(isString) ?? null
  const hasRecipient = isText(status.recipient_id) || isText(status.recipient_user_id)
  return {
    status: {
      providerId: text(status.id, 'id'),
      attempt: ours?.attempt ?? null,
      status: known,
      at: millis(status.timestamp),
      errorCode: optional(error?.code, isInt),
      error: words === null ? null : words.slice(0, 500),
    },
    conversation: ours?.conversation ?? null,
    recipient: hasRecipient ? userOf(status.recipient_id, status.recipient_user_id).chat : null,
    account,
  }
}

/** A user by the phone number, in digits, or by the business-scoped id (`TH.1349…`) where the phone is not shown. */
function userOf(phone: unknown, userId: unknown): { chat: string; phone: string | null } {
  if (!isText(phone)) return { chat: text(userId, 'the user'), phone: null }
  const digits = phone.replace(/[\s+\-()]/g, '')
  return /^\d{5,15}$/.test(digits) ? { chat: digits, phone: digits } : { chat: phone, phone: null }
}

function contactsOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : []
}

/** Unix seconds, written as a string, in ms. */
function millis(value: unknown): number {
  if (!/^\d{1,11}$/.test(String(value))) throw new Malformed(`timestamp is ${shown(value)}, not in unix seconds`)
  return Number(value) * 1000
}

/** At most MAX_TEXT_CHARS units, without half a character at the end. */
function cut(words: string): string {
  const head = words.slice(0, MAX_TEXT_CHARS)
  return words.length > MAX_TEXT_CHARS ? head.replace(/[\ud800-\udbff]$/, '') : head
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An id or a name: not empty, and not so long that a record would not hold it. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 1000
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}

function isInt(value: unknown): value is number {
  return Number.isInteger(value) && Math.abs(value as number) < 2 ** 31
}

function optional<T>(value: unknown, is: (value: unknown) => value is T): T | null {
  return is(value) ? value : null
}

function fields(value: unknown, name: string): Fields {
  if (!isFields(value)) throw new Malformed(`${name} is ${shown(value)}, not an object`)
  return value
}

function text(value: unknown, name: string): string {
  if (!isText(value)) throw new Malformed(`${name} is ${shown(value)}, not a short text`)
  return value
}

function string(value: unknown, name: string): string {
  if (!isString(value)) throw new Malformed(`${name} is ${shown(value)}, not a text`)
  return value
}

/** What kind of value it is: values themselves may be personal. */
function shown(value: unknown): string {
  return value === null || value === undefined
    ? 'missing'
    : value === ''
      ? 'empty'
      : isString(value)
        ? `${value.length} characters long`
        : `a ${typeof value}`
}
