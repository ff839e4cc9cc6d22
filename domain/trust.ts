/** How sure we are of who writes. */
import type { Trust } from '../schemas/types.ts'

/** From the least to the most: says so; has a phone on file; was approved. */
const TRUST: readonly Trust[] = ['UNKNOWN', 'CLAIMED', 'HINTED', 'BOUND']

/** Whether one level of trust is enough where another is asked for. */
export function trusts(has: Trust, needed: Trust): boolean {
  return TRUST.indexOf(has) >= TRUST.indexOf(needed)
}
