/**
 * The Cloud API's request for a message: text, up to 3 buttons, or a list of up to 10 rows, within the provider's lengths.
 * https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
 */
import type { ReplyButton, SendMessage } from '../../schemas/types.ts'
import { cut } from '../../domain/text.ts'
import { formOf } from '../channel/form.ts'
import { fetchJson } from '../http.ts'
import { whatsappChannel } from './channel.ts'

export interface WhatsappAccount {
  /** With the version: `https://graph.facebook.com/v23.0`. */
  readonly apiUrl: string
  readonly phoneNumberId: string
  readonly accessToken: string
}

const { limits } = whatsappChannel
/** Longest ids of a button and of a row. */
const MAX_BUTTON_ID_CHARS = 256
const MAX_ROW_ID_CHARS = 200

/**
 * The request's body. What is too long is cut; an id is not, for it comes back as it was given.
 * @param callback what every status of the message brings back, at most 512 bytes
 * @throws {RangeError} when the id of a choice is too long
 */
export function requestBody(message: SendMessage, callback: string): Record<string, unknown> {
  const { to, replyTo, text, buttons } = message
  return {
    messaging_product: 'whatsapp',
    recipient_type: 'individual',
    // A business-scoped user id has its own field; in `to` it is silently dropped.
    ...(/^\d+$/.test(to) ? { to } : { recipient: to }),
    ...(replyTo === null ? {} : { context: { message_id: replyTo } }),
    biz_opaque_callback_data: callback,
    ...(buttons.length === 0
      ? { type: 'text', text: { preview_url: false, body: cut(text, limits.textChars) } }
      : { type: 'interactive', interactive: interactive(text, buttons) }),
  }
}

/** Sends a request and returns the provider's id of the message, null where it took it without giving one. */
export async function post(account: WhatsappAccount, body: unknown, signal: AbortSignal): Promise<string | null> {
  const { apiUrl, phoneNumberId, accessToken } = account
  const headers = { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' }
  const url = `${apiUrl.replace(/\/+$/, '')}/${encodeURIComponent(phoneNumberId)}/messages`
  const answer = await fetchJson(url, { method: 'POST', headers, body: JSON.stringify(body) }, signal)
  const id = (answer.body as { messages?: { id?: unknown }[] } | null)?.messages?.[0]?.id
  return typeof id === 'string' ? id : null
}

/** The provider's error code and its words, as far as its answer has them. */
export function errorOf(body: string): { code: number | null; words: string | null } {
  let error: { code?: unknown; message?: unknown; error_data?: { details?: unknown } } | undefined
  try {
    error = (JSON.parse(body) as { error?: typeof error } | null)?.error
  } catch {
    return { code: null, words: null } // a gateway's page
  }
  const words = error?.error_data?.details ?? error?.message
  return {
    code: Number.isInteger(error?.code) ? (error?.code as number) : null,
    words: typeof words === 'string' ? words.slice(0, 300) : null,
  }
}

function interactive(text: string, choices: readonly ReplyButton[]): Record<string, unknown> {
  const body = { text: cut(text, limits.textWithChoicesChars) }
  if (formOf(choices, limits) === 'buttons') {
    const { titleChars } = limits.buttons
    const reply = ({ id, title }: ReplyButton) => ({ id: short(id, MAX_BUTTON_ID_CHARS), title: cut(title, titleChars) })
    return { type: 'button', body, action: { buttons: choices.map(choice => ({ type: 'reply', reply: reply(choice) })) } }
  }
  const { most, titleChars, descriptionChars } = limits.list
  const rows = choices.slice(0, most).map(({ id, title, description }) => {
    const shown = cut(title, titleChars)
    const below = description ?? (shown === title ? null : title)
    return {
      id: short(id, MAX_ROW_ID_CHARS),
      title: shown,
      ...(below === null ? {} : { description: cut(below, descriptionChars) }),
    }
  })
  return { type: 'list', body, action: { button: /\p{Script=Thai}/u.test(text) ? 'เลือก' : 'Choose', sections: [{ rows }] } }
}

function short(id: string, max: number): string {
  if (id.length > max) throw new RangeError(`id of a choice is ${id.length} characters long, above ${max}: ${id.slice(0, 40)}…`)
  return id
}
