/** Trying again while an error is of a kind that goes away. */
import type { LogError } from '../log.ts'
import { toLogError } from './errors.ts'

/** Tries again while the error is of the kind that passes, for so long; first after `from` ms, then each time `growth` as late. */
export async function retry<T>(
  forMs: number,
  passing: (error: LogError) => boolean,
  attempt: () => Promise<T>,
  from = 20,
  growth = 2,
): Promise<T> {
  const until = performance.now() + forMs
  for (let wait = from; ; wait = Math.min(wait * growth, 500)) {
    try {
      return await attempt()
    } catch (error) {
      const failed = toLogError(error)
      if (!passing(failed) || performance.now() + wait > until) throw failed
      await sleep(wait)
    }
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
