/**
 * How the fake reads the messages it takes and writes the ones it delivers.
 */
import { randomBytes } from 'node:crypto'

// biome-ignore lint/suspicious/noExplicitAny: bodies of requests are whatever was sent
export type Json = Record<string, any>

/** A message that was taken. */
export interface FakeSent {
  readonly id: string
  readonly to: string
  readonly type: string
  /** The text, or the body of buttons or a list. */
  readonly text: string
  /** Buttons or rows. */
  readonly choices: readonly { readonly id: string; readonly title: string; readonly description?: string }[]
  readonly replyTo: string | null
  readonly opaque: string | null
  readonly at: number
  /** The whole request. */
  readonly body: Json
}

/** A message from a user. Without any content it is the text "Hello". */
export interface FakeDelivery {
  readonly from?: string
  readonly name?: string
  /** A business-scoped user id instead of the phone. */
  readonly userId?: string
  readonly id?: string
  /** When the user sent it, ms. */
  readonly at?: number
  readonly replyTo?: string
  readonly text?: string
  readonly button?: { readonly id: string; readonly title: string }
  readonly list?: { readonly id: string; readonly title: string; readonly description?: string }
  readonly sticker?: boolean
  readonly reaction?: string
  /** Any other type with its content: `{ type: 'poll', poll: {…} }`. */
  readonly other?: Json
  /** How often it is delivered; more than once is a duplicate. */
  readonly times?: number
}

export function accept(to: string, body: Json): FakeSent {
  const { interactive } = body
  const rows = interactive?.action?.sections?.flatMap((section: Json) => section.rows) ?? []
  const buttons = interactive?.action?.buttons?.map((button: Json) => button.reply) ?? []
  return {
    id: wamid(),
    to,
    type: interactive?.type ?? body.type ?? 'text',
    text: body.text?.body ?? interactive?.body?.text ?? '',
    choices: [...buttons, ...rows],
    replyTo: body.context?.message_id ?? null,
    opaque: body.biz_opaque_callback_data ?? null,
    at: Date.now(),
    body,
  }
}

export function contentOf({ text = 'Hello', button, list, sticker, reaction, other }: FakeDelivery): Json {
  if (other !== undefined) return other
  if (button !== undefined) return { type: 'interactive', interactive: { type: 'button_reply', button_reply: button } }
  if (list !== undefined) return { type: 'interactive', interactive: { type: 'list_reply', list_reply: list } }
  if (sticker) return { type: 'sticker', sticker: { id: '1908647269898587', mime_type: 'image/webp', animated: false } }
  if (reaction !== undefined) return { type: 'reaction', reaction: { message_id: wamid(), emoji: reaction } }
  return { type: 'text', text: { body: text } }
}

/** As Meta writes JSON: everything beyond ASCII as \uXXXX, slashes escaped. */
export function escaped(body: Json): string {
  const unit = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(body)
    .replace(/\//g, '\\/')
    .replace(/[\u0080-\uffff]/g, unit)
}

export function seconds(ms: number): string {
  return String(Math.floor(ms / 1000))
}

export function wamid(): string {
  return `wamid.${randomId()}`
}

export function randomId(): string {
  return randomBytes(18).toString('base64url')
}
