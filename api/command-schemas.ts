/** What requests that give a command have in common: headers, how long to wait, and the response. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { Problem } from './problem.ts'
import { oneOf, orNull, Text, Time } from './schemas.ts'

export const IdempotencyKey = (description: string) =>
  Type.Optional(Type.String({ pattern: '^[\\x21-\\x7e]{1,200}$', description }))

export const WriteHeaders = Type.Object({
  'idempotency-key': IdempotencyKey(
    'A repeated request with the same key is performed once and gets the same outcome; kept for 30 days',
  ),
  prefer: Type.Optional(
    Type.String({ maxLength: 200, description: 'wait=<seconds>: how long to wait for the outcome, 0 to 10' }),
  ),
})

export const CommandOutcome = Type.Object({
  id: Text,
  action: Text,
  outcome: oneOf('pending', 'handled', 'refused', 'skipped', 'parked'),
  reason: Text,
  code: orNull(Text, { description: 'Why it was refused, as a code; null otherwise' }),
  at: Time,
})
export type CommandOutcome = Static<typeof CommandOutcome>

/** Responses of a write. */
export const written = { 200: CommandOutcome, 202: CommandOutcome }

export const PENDING = { outcome: 'pending', reason: '', code: null } as const

const DEFAULT_WAIT_MS = 2_000
const MAX_WAIT_S = 10

/** How long a request waits for its outcome, ms. */
export function waitOf({ headers }: FastifyRequest): number {
  const seconds = /(?:^|[,; ])wait=(\d{1,3})(?:$|[,; ])/.exec(String(headers.prefer ?? ''))?.[1]
  return seconds === undefined ? DEFAULT_WAIT_MS : Math.min(Number(seconds), MAX_WAIT_S) * 1000
}

/** @throws {Problem} `command_refused`, `command_failed` */
export function sendOutcome(reply: FastifyReply, outcome: CommandOutcome): FastifyReply {
  switch (outcome.outcome) {
    case 'pending':
      return reply
        .code(202)
        .header('location', `/api/v1/commands/${encodeURIComponent(outcome.id)}`)
        .send(outcome)
    case 'handled':
      return reply.send(outcome)
    case 'refused':
      throw new Problem('command_refused', outcome.reason)
    default:
      throw new Problem(
        'command_failed',
        `the command was ${outcome.outcome}: its record is in quarantine, for an operator to look at`,
      )
  }
}
