/** How the Soundtrack connector polls. Times in ms, before `timeScale` divides them. */
export interface SoundtrackSettings {
  /** Between two reads of a quiet account: ahead of the five minutes that a status stays fresh. A tenth of it is spread. */
  readonly quietMs: number
  /** Where a venue's priority_level is critical or high. */
  readonly urgentMs: number
  /** While somebody talks about it, or it is critical or flapping. */
  readonly attentionMs: number
  /** How long one `PollSooner` keeps the attention. */
  readonly attentionForMs: number
  /** Least time between the starts of two reads, whoever asks. */
  readonly gapMs: number
  /** First reads of new accounts are spread over this. */
  readonly spreadMs: number
  /** After a failed read; doubled with each further one, up to `quietMs`. */
  readonly failedMs: number
  /** When the tokens did not suffice: at first, and at last. */
  readonly limitedMs: number
  readonly limitedMaxMs: number
  /** An unchanged outcome is written to the synchronisation log this often. */
  readonly logMs: number
  /** Page size of the first read of an account of which nothing is known. */
  readonly firstZones: number
  readonly timeScale: number
}

export const SOUNDTRACK_SETTINGS: SoundtrackSettings = {
  quietMs: 270_000,
  urgentMs: 120_000,
  attentionMs: 30_000,
  attentionForMs: 180_000,
  gapMs: 5_000,
  spreadMs: 5_000,
  failedMs: 30_000,
  limitedMs: 60_000,
  limitedMaxMs: 600_000,
  logMs: 1_800_000,
  firstZones: 4,
  timeScale: 1,
}
