/** Trying again while an error is retriable. */
import type { LogError } from '../log.ts'
import { toLogError } from './errors.ts'

const MAX_PAUSE_MS = 500

/** Tries again while the error is retriable, for up to `forMs`; after `pauseMs` first, then each time `growth` times as long. */
export async function retry<T>(
  forMs: number,
  retriable: (error: LogError) => boolean,
  attempt: () => Promise<T>,
  pauseMs = 20,
  growth = 2,
): Promise<T> {
  const until = performance.now() + forMs
  for (let wait = pauseMs; ; wait = Math.min(wait * growth, MAX_PAUSE_MS)) {
    try {
      return await attempt()
    } catch (error) {
      const failed = toLogError(error)
      if (!retriable(failed) || performance.now() + wait > until) throw failed
      await sleep(wait)
    }
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
