import type { LookUps } from './metrics.ts'

/** A JSON text that is kept, and its tag once somebody has been answered with it. */
export interface KeptText {
  readonly json: string
  etag?: string
}

/** Look-ups that are kept close by, so that most of them never reach the serving store. */
export interface Hot {
  /**
   * The JSON that is kept; where nothing is, what `load` finds, with the offset that it was made from, is kept and returned. Never
   * fails for the cache's own sake.
   */
  readText(
    kind: 'venue' | 'conversation',
    id: string,
    load: () => Promise<{ value: unknown; version: number } | null>,
  ): Promise<string | null>
  /** What is kept in this process; null where it has to be read. */
  peek?(kind: 'venue', id: string): KeptText | null
  /** Forgets it, so that the next look-up reads it anew. */
  invalidate(kind: 'venue', id: string): Promise<void>
  /** Forgets everything: it fills again from the log and from look-ups. */
  flush(): Promise<void>
  /** How look-ups ended, by kind, since the start. */
  stats?(): ReadonlyMap<string, LookUps>
}

/** Keeps nothing. */
export const direct: Hot = {
  readText: async (_kind, _id, load) => {
    const loaded = await load()
    return loaded === null ? null : JSON.stringify(loaded.value)
  },
  invalidate: async () => {},
  flush: async () => {},
}
