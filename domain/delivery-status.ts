/** How far a message of ours has come. Reports arrive in any order, so of two statuses the one of higher rank holds. */
import type { MessageStatus } from '../schemas/types.ts'

/** In rising order. A message reported as failed may still turn out to have arrived. */
export const DELIVERY_STATUSES: readonly MessageStatus[] = ['QUEUED', 'UNKNOWN', 'SENT', 'FAILED', 'DELIVERED', 'READ']

const RANKS: ReadonlyMap<string, number> = new Map(DELIVERY_STATUSES.map((status, rank) => [status, rank]))

/** The rank of a status as records (`SENT`) or tables (`sent`) write it; 0 where it is none. */
export function deliveryRank(status: string): number {
  return RANKS.get(status.toUpperCase()) ?? 0
}

/** Whether `status` replaces `known`. */
export function outranks(status: string, known: string): boolean {
  return deliveryRank(status) > deliveryRank(known)
}
