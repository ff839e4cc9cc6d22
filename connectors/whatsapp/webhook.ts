/**
 * Meta's webhook: the handshake and the signature. https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { receive } from '../channel/receive.ts'
import type { Webhook } from '../channel/webhook.ts'
import { whatsappChannel } from './channel.ts'
import { parseWebhook } from './parse.ts'

const { name: CHANNEL } = whatsappChannel
/** Meta's own limit. */
const MAX_BODY_BYTES = 3 * 1024 * 1024

/** The webhook of an app. */
export function whatsappWebhook({
  appSecret,
  verifyToken,
}: {
  readonly appSecret: string
  readonly verifyToken: string
}): Webhook {
  return {
    channel: CHANNEL,
    path: `/webhooks/${CHANNEL}`,
    summary: 'Messages and statuses from WhatsApp',
    maxBodyBytes: MAX_BODY_BYTES,
    handshake: {
      summary: "Meta's check that this webhook is ours",
      parameters: ['hub.mode', 'hub.verify_token', 'hub.challenge'],
      answer: query => handshake(query, verifyToken),
      refusal: 'hub.mode or hub.verify_token is not the one configured',
    },
    refuse: (body, { 'x-hub-signature-256': signature }) =>
      verifySignature(appSecret, body, typeof signature === 'string' ? signature : undefined)
        ? null
        : 'X-Hub-Signature-256 does not match the body',
    receive: (body, context) => receive(whatsappChannel, parseWebhook(body, Date.now()), context),
  }
}

/**
 * Whether the body was signed with the app's secret. `rawBody` is the body as it came: Meta escapes non-ASCII characters,
 * so the same JSON serialised again has another digest.
 * @param header the value of `X-Hub-Signature-256`
 */
export function verifySignature(secret: string, rawBody: Buffer, header: string | undefined): boolean {
  if (secret === '' || header === undefined) return false
  return equal(header, 'sha256=' + createHmac('sha256', secret).update(rawBody).digest('hex'))
}

/** The challenge to answer the subscription request with; null where it is not ours. */
export function handshake(query: Readonly<Record<string, unknown>>, verifyToken: string): string | null {
  const { 'hub.mode': mode, 'hub.verify_token': token, 'hub.challenge': challenge } = query
  if (mode !== 'subscribe' || typeof token !== 'string' || typeof challenge !== 'string' || verifyToken === '') return null
  return equal(token, verifyToken) ? challenge : null
}

function equal(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)]
  return a.length === b.length && timingSafeEqual(a, b)
}
