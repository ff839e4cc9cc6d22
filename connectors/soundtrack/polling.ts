/** How the Soundtrack connector polls. Times in ms, before `timeScale` divides them. */
export interface SoundtrackSettings {
  /** Least time between two reads of an account: ahead of the five minutes that a status stays fresh. More where the tokens are short. */
  readonly quietMs: number
  /** Where a venue's priority_level is critical or high: with the wait for its turn no more than two minutes. */
  readonly urgentMs: number
  /** For so long after something has changed, the account is read this often. */
  readonly changedMs: number
  readonly changedForMs: number
  /** Where nothing has changed for so long, others come first. */
  readonly calmMs: number
  /** Least time between the starts of two reads, whoever asks. */
  readonly gapMs: number
  /** After a failed read; doubled with each further one, up to `quietMs`. */
  readonly failedMs: number
  /** A reading that says nothing new is told all the same this often. */
  readonly tellMs: number
  /** A venue that hears nothing waits for so long beyond `tellMs`: what is due may come late where the tokens are short. */
  readonly lateMs: number
  /** An unchanged outcome is written to the synchronisation log this often. */
  readonly logMs: number
  /** An open poll is written anew this often, read or not. */
  readonly openMs: number
  /** Page size of the first read of an account of which nothing is known. */
  readonly firstZones: number
  readonly timeScale: number
}

const MINUTE = 60_000

export const SOUNDTRACK_SETTINGS: SoundtrackSettings = {
  quietMs: 4.5 * MINUTE,
  urgentMs: 1.8 * MINUTE,
  changedMs: MINUTE,
  changedForMs: 3 * MINUTE,
  calmMs: 60 * MINUTE,
  gapMs: 5_000,
  failedMs: 30_000,
  tellMs: 60 * MINUTE,
  lateMs: 30 * MINUTE,
  logMs: 30 * MINUTE,
  openMs: 24 * 60 * MINUTE,
  firstZones: 4,
  timeScale: 1,
}
