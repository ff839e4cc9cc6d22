/**
 * The Cloud API's request for a message: text, up to 3 buttons, or a list of up to 10 rows, within the provider's lengths.
 * https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
 */
import type { ReplyButton, SendMessage } from '../../schemas/types.ts'
import { fetchJson } from '../outbound.ts'

export interface WhatsappAccount {
  /** With the version: `https://graph.facebook.com/v23.0`. */
  readonly apiUrl: string
  readonly phoneNumberId: string
  readonly accessToken: string
}

/** Lengths, in characters, and counts that the provider takes. */
export const LIMITS = {
  text: 4096,
  body: 1024,
  buttons: 3,
  buttonTitle: 20,
  buttonId: 256,
  rows: 10,
  rowTitle: 24,
  rowDescription: 72,
  rowId: 200,
} as const

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
    // A business-scoped user id goes into a field of its own; in `to` it is dropped without a word.
    ...(/^\d+$/.test(to) ? { to } : { recipient: to }),
    ...(replyTo === null ? {} : { context: { message_id: replyTo } }),
    biz_opaque_callback_data: callback,
    ...(buttons.length === 0
      ? { type: 'text', text: { preview_url: false, body: cut(text, LIMITS.text) } }
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
  const body = { text: cut(text, LIMITS.body) }
  const titles = choices.map(({ title }) => cut(title, LIMITS.buttonTitle))
  // Buttons need titles that differ, and two long ones may be cut to the same.
  if (choices.length <= LIMITS.buttons && new Set(titles).size === titles.length) {
    const buttons = choices.map(({ id }, n) => ({ type: 'reply', reply: { id: short(id, LIMITS.buttonId), title: titles[n] } }))
    return { type: 'button', body, action: { buttons } }
  }
  const rows = choices.slice(0, LIMITS.rows).map(({ id, title, description }) => {
    const shown = cut(title, LIMITS.rowTitle)
    const below = description ?? (shown === title ? null : title)
    return {
      id: short(id, LIMITS.rowId),
      title: shown,
      ...(below === null ? {} : { description: cut(below, LIMITS.rowDescription) }),
    }
  })
  return { type: 'list', body, action: { button: /\p{Script=Thai}/u.test(text) ? 'เลือก' : 'Choose', sections: [{ rows }] } }
}

/** The text in at most `max` UTF-16 units: an ellipsis stands for what is left out. */
function cut(text: string, max: number): string {
  return text.length <= max ? text : text.slice(0, max - 1).replace(/[\ud800-\udbff]$/, '') + '…'
}

function short(id: string, max: number): string {
  if (id.length > max) throw new RangeError(`id of a choice is ${id.length} characters long, above ${max}: ${id.slice(0, 40)}…`)
  return id
}
