/** Headers that the engine reads. */

/** Id of a record that was appended outside a transaction: the provider's, the command's. A repeated one is recognised. */
export const RECORD_ID =
  'id' /** In a journal: which look-up a record answers, which of its key's records asked (`offset.count`), and a digest of the question. */
export const LOOKUP = 'lookup'
export const ASKED_BY = 'by'
export const QUESTION = 'question'

/** The time that belongs to the id, ms since the epoch in decimal: the provider's. Log time where absent. */
export const RECORD_AT = 'at'
/** Marks a record as a command whose outcome is kept under this id. */
export const COMMAND = 'command'
/** Effect attempt that a record is the result of. */
export const ATTEMPT = 'attempt'
/** Number of the part, from 0, and whether it is the last ('1') of the attempt's result. */
export const PART = 'part'
export const LAST = 'last'

/** The time that belongs to a record's id: the log's where none is said, or what is said is no time. */
export function recordTime(headers: Readonly<Record<string, string>>, timestamp: number): number {
  const at = Math.round(Number(headers[RECORD_AT] || Number.NaN))
  return Number.isSafeInteger(at) ? at : timestamp
}
