/** What a channel's provider sends us over HTTP. The API has the route; the channel's connector knows what a body means. */
import type { ChatMessageInput, DeliveryStatusInput } from '../../schemas/types.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Log } from '../../topics/log.ts'

export interface ParsedWebhook {
  readonly messages: readonly ChatMessageInput[]
  readonly statuses: readonly ParsedStatus[]
  /** Malformed parts, for the dead letters; the good parts beside them are above. */
  readonly refused: readonly RefusedPart[]
}

export interface ParsedStatus {
  readonly status: DeliveryStatusInput
  /** The conversation it belongs to, echoed by the provider; null where the message was not sent by us. */
  readonly conversation: string | null
  /** Whom the message went to, as `chat` of ChatMessage has it. */
  readonly recipient: string | null
  readonly account: string
}

export interface RefusedPart {
  /** Where in the body: `entry[0].changes[1].value.messages[2]`. */
  readonly path: string
  readonly reason: string
  readonly part: unknown
}

export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

/** The provider's check that the webhook is ours, answered by a GET at the same path. */
export interface Handshake {
  readonly summary: string
  /** Names of the query's parameters. */
  readonly parameters: readonly string[]
  /** What to answer; null where it is not ours. */
  answer(query: Readonly<Record<string, unknown>>): string | null
  /** What is said where it is not ours. */
  readonly refusal: string
}

export interface ReceiveContext {
  readonly log: Log
  readonly codec: Codec
  readonly tenantKey: Buffer | string
}

export interface Webhook {
  /** Name of its channel. */
  readonly channel: string
  readonly path: string
  readonly summary: string
  readonly maxBodyBytes: number
  readonly handshake: Handshake | null
  /** Why a body does not come from the provider; null where it does. @param body as it came: a signature is over its bytes */
  refuse(body: Buffer, headers: Headers): string | null
  /**
   * Appends what a body brings to the log. @returns how many parts of each kind there were
   * @throws when the log does not have them in time: then nothing may be confirmed
   */
  receive(body: object, context: ReceiveContext): Promise<Readonly<Record<'message' | 'status' | 'refused', number>>>
}
