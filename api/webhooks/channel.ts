/** The webhook of a channel: what it brings is in the log before it is answered. */
import { Type } from 'typebox'
import { messageOf } from '../../engine/errors.ts'
import { TimeoutError } from '../../domain/timeout.ts'
import type { Codec } from '../../topics/codec.ts'
import { type Log, LogError } from '../../topics/log.ts'
import { isDeeper, MAX_DEPTH } from '../json.ts'
import type { Metrics } from '../metrics.ts'
import { Problem, sendProblem } from '../problem.ts'
import type { Api } from '../types.ts'

/** What the API needs of a channel that is configured; its connector provides it. */
export interface ApiChannel {
  readonly name: string
  /** Our account at the provider, where the channel has one. */
  readonly account: string | null
  /** Null where the provider does not call us. */
  readonly webhook: Webhook | null
}

export interface Webhook {
  readonly channel: string
  readonly path: string
  readonly summary: string
  readonly maxBodyBytes: number
  /** The provider's check that the webhook is ours. */
  readonly handshake: {
    readonly summary: string
    readonly parameters: readonly string[]
    answer(query: Readonly<Record<string, unknown>>): string | null
    readonly refusal: string
  } | null
  refuse(body: Buffer, headers: Readonly<Record<string, string | readonly string[] | undefined>>): string | null
  receive(body: object, context: WebhookContext): Promise<Readonly<Record<string, number>>>
}

interface WebhookContext {
  readonly tenantKey: Buffer | string
  readonly log: Log
  readonly codec: Codec
}

/** To be registered in a scope of its own: bodies are kept as they come, since a signature is over their bytes. */
export function channelWebhook(app: Api, webhook: Webhook, options: WebhookContext & { readonly metrics: Metrics }): void {
  const { metrics } = options
  const { channel, path, maxBodyBytes, handshake } = webhook
  const count = (outcome: string) => metrics.webhookRequests.inc({ channel, outcome })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body))

  if (handshake !== null) {
    const querystring = Type.Object(Object.fromEntries(handshake.parameters.map(name => [name, Type.Optional(Type.String())])))
    app.get(path, { schema: { summary: handshake.summary, produces: 'text/plain', querystring } }, async ({ query }, reply) => {
      const answer = handshake.answer(query as Readonly<Record<string, unknown>>)
      if (answer === null) throw new Problem('forbidden', handshake.refusal)
      return reply.type('text/plain').send(answer)
    })
  }

  app.post(
    path,
    {
      bodyLimit: maxBodyBytes,
      schema: {
        summary: webhook.summary,
        response: { 200: Type.Object({ status: Type.Literal('taken') }) },
      },
      errorHandler: (error, _, reply) => {
        if (error.statusCode !== 413) throw error
        count('too_large')
        return sendProblem(reply, 'payload_too_large', `the body of a webhook must be at most ${maxBodyBytes} bytes`)
      },
    },
    async (request, reply) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
      const refusal = webhook.refuse(body, request.headers)
      if (refusal !== null) {
        count('unauthorized')
        return sendProblem(reply, 'invalid_signature', refusal)
      }
      const content = objectOf(body)
      if (content === null) {
        count('invalid')
        return sendProblem(reply, 'invalid_body', `the body must be a non-empty JSON object of at most ${MAX_DEPTH} levels`)
      }
      let parts: Readonly<Record<string, number>>
      try {
        parts = await webhook.receive(content, options)
      } catch (error) {
        // Anything else is a fault of ours, for the log with its stack: sending the webhook again would not help.
        if (!(error instanceof LogError || error instanceof TimeoutError)) {
          count('failed')
          throw error
        }
        count('unavailable')
        request.log.error({ requestId: request.id, reason: messageOf(error) }, 'webhook rejected: cannot append to the log')
        return sendProblem(reply, 'unavailable', 'the webhook cannot be stored now: send it again')
      }
      count('accepted')
      for (const [part, n] of Object.entries(parts)) metrics.webhookParts.inc({ channel, part }, n)
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
