/**
 * What the delivery actor keeps of the messages it sends. A long message goes out in parts, of which nobody else hears: its status is
 * the worst of theirs.
 */
import { outranks } from '../../domain/delivery-status.ts'
import type { Delivery, DeliveryPart, DeliveryState, MessageStatus } from '../../schemas/types.ts'

/** Parts that are kept, of messages in one and in several together. */
const MAX_KEPT_PARTS = 30

export const NEW: DeliveryState = { sends: [] }

/** A message that these attempts are to send, a part each; none where it is not sent at all. */
export function queued(id: string, at: number, attempts: readonly (string | null)[]): Delivery {
  const parts = attempts.map((attempt): DeliveryPart => ({ attempt, providerId: null, status: 'QUEUED' }))
  const attempt = parts.length === 1 ? (attempts[0] ?? null) : null
  return { id, attempt, providerId: null, status: 'QUEUED', alerted: false, at, parts: parts.length > 1 ? parts : [] }
}

/** A message of which something is known. */
export interface Reported {
  readonly send: Delivery
  /** Which of its parts it is known of. */
  readonly part: number
}

/** The message that an attempt was to send; a new one if it was too old to be kept. */
export function attempted({ sends }: DeliveryState, id: string, attempt: string | null, at: number): Reported {
  const send = sends.find(send => send.id === id) ?? queued(id, at, [attempt])
  return {
    send,
    part: Math.max(
      0,
      send.parts.findIndex(part => part.attempt === attempt),
    ),
  }
}

/** The message that a provider reports on: by the attempt it echoes, or by its own id. Null where it is none of ours. */
export function reportedOn({ sends }: DeliveryState, attempt: string | null, providerId: string): Reported | null {
  for (const send of sends) {
    const parts = send.parts.length > 0 ? send.parts : [send]
    const part = parts.findIndex(p => (attempt !== null && p.attempt === attempt) || p.providerId === providerId)
    if (part !== -1) return { send, part }
  }
  return null
}

/** The message with what is newly known of a part. Its own status stays: that is the one last passed on. */
export function withPart({ send, part }: Reported, status: MessageStatus, providerId: string | null): Delivery {
  if (send.parts.length === 0) return { ...send, providerId: providerId ?? send.providerId }
  const known = send.parts[part] as DeliveryPart
  const next = { ...known, providerId: providerId ?? known.providerId, ...(outranks(status, known.status) && { status }) }
  const parts = send.parts.with(part, next)
  return { ...send, parts, providerId: parts.at(-1)?.providerId ?? null }
}

/**
 * The message without the parts after one that has failed, or may not have been sent: as far as they can be withdrawn, they have
 * failed with it.
 */
export function withoutRest(send: Delivery, part: number, withdraw: (attempt: string) => boolean): Delivery {
  const { status } = send.parts[part] ?? send
  if (status !== 'FAILED' && status !== 'UNKNOWN') return send
  const parts = send.parts.map((rest, n) => {
    const withdrawn = n > part && rest.status === 'QUEUED' && rest.attempt !== null && withdraw(rest.attempt)
    return withdrawn ? { ...rest, status: 'FAILED' as const } : rest
  })
  return { ...send, parts }
}

/** The status of the whole: failed when a part has failed, delivered when every part is. */
export function worstOf(parts: readonly DeliveryPart[]): MessageStatus {
  const statuses = parts.map(({ status }) => status)
  if (statuses.includes('FAILED')) return 'FAILED'
  return statuses.reduce((worst, status) => (outranks(worst, status) ? status : worst))
}

/** The state with this message, and the newest of the others. */
export function keep({ sends }: DeliveryState, send: Delivery): DeliveryState {
  const known = sends.some(s => s.id === send.id)
  const all = known ? sends.map(s => (s.id === send.id ? send : s)) : [...sends, send]
  let first = all.length
  for (let room = MAX_KEPT_PARTS; first > 0; first--) {
    room -= Math.max(1, all[first - 1]?.parts.length ?? 0)
    if (room < 0) break
  }
  return { sends: all.slice(first) }
}
