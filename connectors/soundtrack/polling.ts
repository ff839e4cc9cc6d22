/** How the Soundtrack connector polls. Times in ms, before `timeScale` divides them. */
import { MINUTE_MS } from '../../domain/time.ts'

export interface SoundtrackSettings {
  /** Least time between two reads of an account: ahead of the five minutes that a status stays fresh. More where the tokens are short. */
  readonly quietMs: number
  /** Where a venue's priority_level is critical or high: with the wait for its turn no more than two minutes. */
  readonly urgentMs: number
  /** After a change, the account is read this often, for `changedForMs`. */
  readonly changedMs: number
  readonly changedForMs: number
  /** An account without a change for this long yields to others. */
  readonly calmMs: number
  /** Least time between the starts of two reads, whatever triggers them. */
  readonly gapMs: number
  /** After a failed read; doubled with each further one, up to `quietMs`. */
  readonly failedMs: number
  /** A reading without news is sent to the venues this often all the same. */
  readonly tellMs: number
  /** A venue without a reading waits this long beyond `tellMs`: polls may be late when tokens are short. */
  readonly lateMs: number
  /** An unchanged outcome is written to the sync log this often. */
  readonly logMs: number
  /** An open poll is renewed this often, whether or not the account was read. */
  readonly openMs: number
  /** Page size of the first read of an unknown account. */
  readonly firstZones: number
  readonly timeScale: number
}

export const SOUNDTRACK_SETTINGS: SoundtrackSettings = {
  quietMs: 4.5 * MINUTE_MS,
  urgentMs: 1.8 * MINUTE_MS,
  changedMs: MINUTE_MS,
  changedForMs: 3 * MINUTE_MS,
  calmMs: 60 * MINUTE_MS,
  gapMs: 5_000,
  failedMs: 30_000,
  tellMs: 60 * MINUTE_MS,
  lateMs: 30 * MINUTE_MS,
  logMs: 30 * MINUTE_MS,
  openMs: 24 * 60 * MINUTE_MS,
  firstZones: 4,
  timeScale: 1,
}
