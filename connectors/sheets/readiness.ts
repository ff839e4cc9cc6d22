/**
 * Whether the service is ready, as far as the venue sheet is concerned. It is not until the first reading is in the index. A reading
 * that was refused as a whole counts, too: then the service is ready with what it has, and says so. A missing file does not count.
 */
import type { SyncRun } from '../../schemas/types.ts'

export interface SheetStatus {
  readonly status: 'up' | 'degraded' | 'down'
  readonly detail: string
}

export class SheetReadiness {
  #read = false
  #taken: SyncRun | null = null
  #newest: SyncRun | null = null

  /** A run of a sheet, in the order of the log. */
  ran(run: SyncRun): void {
    this.#newest = run
    if (run.outcome !== 'FAILED') this.#read = true
    if (run.outcome === 'OK') this.#taken = run
  }

  /**
   * @param venues how many are in the index
   * @param configured whether this process has a sheet to read
   */
  status(venues: number, configured: boolean): SheetStatus {
    const [taken, newest] = [this.#taken, this.#newest]
    if (newest === null) {
      return configured
        ? { status: 'down', detail: 'the venue sheet has not been read yet' }
        : { status: 'degraded', detail: 'no venue sheet is configured here, and none has been read elsewhere: set VENUES_CSV' }
    }
    const refused = newest.outcome === 'REFUSED' || newest.outcome === 'FAILED' ? newest.reason : ''
    if (taken === null) {
      const detail = `the venue sheet was refused, and there are no venues yet: ${refused}`
      return { status: this.#read ? 'degraded' : 'down', detail }
    }
    const detail = `${venues} of ${taken.venues} venues are in the index`
    if (venues < taken.venues) return { status: 'down', detail }
    return refused === ''
      ? { status: 'up', detail }
      : { status: 'degraded', detail: `${detail}; newer readings of the sheet were refused: ${refused}` }
  }
}
