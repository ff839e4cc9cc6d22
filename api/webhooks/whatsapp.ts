/** WhatsApp's webhook: what it brings is in the log before it is answered. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Type } from 'typebox'
import { handshake, type ParsedWebhook, parseWebhook, verifySignature } from '../../connectors/whatsapp/webhook.ts'
import { messageOf } from '../../engine/errors.ts'
import { RECORD_AT, RECORD_ID } from '../../engine/headers.ts'
import { conversationId, reference } from '../../domain/ids.ts'
import { conversationInbox, deadLetters, whatsappInbox } from '../../topics/catalog.ts'
import { type Codec, CodecError } from '../../topics/codec.ts'
import { type Append, type Log, MAX_RECORD_BYTES } from '../../topics/log.ts'
import { isDeeper, MAX_DEPTH } from '../json.ts'
import type { Metrics } from '../metrics.ts'
import { Problem, sendProblem } from '../problem.ts'
import type { Api } from '../types.ts'

/** Meta's own limit. */
const MAX_BODY_BYTES = 3 * 1024 * 1024
/** Meta gives up sooner or later and sends again; what the log takes after that is recognised then. */
const APPEND_MS = 10_000
/** What is kept of a refused part; one that is larger is not JSON any more. */
const MAX_PART_BYTES = 64 * 1024
const CHANNEL = 'whatsapp'

export interface WhatsAppWebhookOptions {
  readonly appSecret: string
  readonly verifyToken: string
  readonly tenantKey: Buffer | string
  readonly log: Log
  readonly codec: Codec
  readonly metrics: Metrics
}

/** To be registered in a scope of its own: bodies are kept as they come, since the signature is over their bytes. */
export function whatsappWebhook(app: Api, options: WhatsAppWebhookOptions): void {
  const { metrics } = options
  const count = (outcome: string) => metrics.webhookRequests.inc({ channel: CHANNEL, outcome })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body))

  app.get(
    '/webhooks/whatsapp',
    {
      schema: {
        summary: "Meta's check that this webhook is ours",
        produces: 'text/plain',
        querystring: Type.Object({
          'hub.mode': Type.Optional(Type.String()),
          'hub.verify_token': Type.Optional(Type.String()),
          'hub.challenge': Type.Optional(Type.String()),
        }),
      },
    },
    async ({ query }, reply) => {
      const challenge = handshake(query, options.verifyToken)
      if (challenge === null) throw new Problem('forbidden', 'hub.mode or hub.verify_token is not the one configured')
      return reply.type('text/plain').send(challenge)
    },
  )

  app.post(
    '/webhooks/whatsapp',
    {
      bodyLimit: MAX_BODY_BYTES,
      schema: {
        summary: 'Messages and statuses from WhatsApp',
        response: { 200: Type.Object({ status: Type.Literal('taken') }) },
      },
      errorHandler: (error, _, reply) => {
        if (error.statusCode !== 413) throw error
        count('too_large')
        return sendProblem(reply, 'payload_too_large', `a webhook may be ${MAX_BODY_BYTES} bytes long`)
      },
    },
    async (request, reply) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
      const signature = request.headers['x-hub-signature-256']
      if (!verifySignature(options.appSecret, body, typeof signature === 'string' ? signature : undefined)) {
        count('unauthorized')
        return sendProblem(reply, 'invalid_signature', 'X-Hub-Signature-256 is not the one of this body')
      }
      const content = objectOf(body)
      if (content === null) {
        count('invalid')
        return sendProblem(
          reply,
          'invalid_body',
          `the body is not a JSON object with anything in it, of at most ${MAX_DEPTH} levels`,
        )
      }
      const { records, parts } = recordsOf(parseWebhook(content, Date.now()), options)
      try {
        if (records.length > 0) await withinTime(options.log.append(records))
      } catch (error) {
        count('unavailable')
        request.log.error({ requestId: request.id, reason: messageOf(error) }, 'the log takes no webhook now')
        return sendProblem(reply, 'unavailable', 'the log cannot take the webhook now: send it again')
      }
      count('accepted')
      for (const [part, n] of Object.entries(parts)) metrics.webhookParts.inc({ channel: CHANNEL, part }, n)
      return { status: 'taken' as const }
    },
  )
}

function objectOf(body: Buffer): object | null {
  try {
    const text = body.toString('utf8')
    if (isDeeper(text)) return null
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject && Object.keys(value).length > 0 ? value : null
  } catch {
    return null
  }
}

/** The records of a webhook: messages to their conversations, statuses to the connector, the rest to the dead letters. */
function recordsOf({ messages, statuses, refused }: ParsedWebhook, { codec, tenantKey }: WhatsAppWebhookOptions) {
  const records: Append[] = []
  const parts = { message: 0, status: 0, refused: 0 }

  const refuse = (path: string, reason: string, part: unknown) => {
    parts.refused++
    const value = codec.encode(deadLetters.name, 'DeadLetter', {
      topic: 'webhooks/whatsapp',
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
      if ((record.value?.length ?? 0) > MAX_RECORD_BYTES - HEADER_ROOM) throw new CodecError('invalid', 'too large for a record')
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
      // A digest: what is remembered of it outlives what it names, and may hold a phone.
      headers: { [RECORD_ID]: reference(message.id), [RECORD_AT]: String(message.sentAt) },
    }))
  }
  for (const { status, conversation, recipient, account } of statuses) {
    const key = conversation ?? (recipient === null ? null : conversationId(tenantKey, CHANNEL, account, recipient))
    if (key === null) {
      refuse('status', 'neither biz_opaque_callback_data nor recipient_id says which conversation it belongs to', status)
      continue
    }
    take('status', status, () => ({
      topic: whatsappInbox.name,
      key,
      value: codec.encode(whatsappInbox.name, 'DeliveryStatus', status),
      headers: { [RECORD_ID]: `${reference(status.providerId)}:${status.status}`, [RECORD_AT]: String(status.at) },
    }))
  }
  for (const { path, reason, part } of refused) refuse(path, reason, part)
  return { records, parts }
}

/** Room for key and headers beside the value of a record. */
const HEADER_ROOM = 8 * 1024

async function withinTime(appended: Promise<unknown>): Promise<void> {
  const timer = new AbortController()
  const late = sleep(APPEND_MS, undefined, timer).then(
    () => {
      throw new Error(`not durable within ${APPEND_MS} ms`)
    },
    () => {}, // the log was faster
  )
  try {
    await Promise.race([appended, late])
  } finally {
    timer.abort()
  }
}
