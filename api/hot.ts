/** Look-ups that are kept close by, so that most of them never reach the serving store. */
export interface Hot {
  /**
   * What is kept; where nothing is, what `load` finds, with the offset that it was made from, is kept and returned. Values are
   * JSON. Never fails for the cache's own sake.
   */
  readThrough<T>(kind: 'venue', id: string, load: () => Promise<{ value: T; version: number } | null>): Promise<T | null>
  /** Forgets it, so that the next look-up reads it anew. */
  invalidate(kind: 'venue', id: string): Promise<void>
}

/** Keeps nothing. */
export const direct: Hot = {
  readThrough: async (_kind, _id, load) => (await load())?.value ?? null,
  invalidate: async () => {},
}
