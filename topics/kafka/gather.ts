/** Reassembles answers that arrive over a connection in pieces: a size in four bytes, then as many bytes. */

const SIZE_BYTES = 4
/** An answer to a Fetch may be longer than requested, by one record batch of any size. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024

/**
 * Calls `each` with every complete answer, with its size in front.
 * @returns takes the next piece. @throws when the size is impossible: nothing after it can be read
 */
export function wholeAnswers(each: (answer: Buffer) => void): (data: Buffer) => void {
  let pieces: Buffer[] = []
  let length = 0
  /** Bytes needed to continue. */
  let wanted = SIZE_BYTES
  return data => {
    pieces.push(data)
    length += data.length
    while (length >= wanted) {
      const all = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
      pieces = [all]
      const size = all.readInt32BE(0)
      if (size < SIZE_BYTES || size > MAX_ANSWER_BYTES)
        throw new Error(`an answer claims ${size} bytes: the data of the connection is damaged`)
      const end = SIZE_BYTES + size
      if (length < end) {
        wanted = end
        return
      }
      const rest = all.subarray(end)
      pieces = rest.length === 0 ? [] : [rest]
      length = rest.length
      wanted = SIZE_BYTES
      each(length === 0 ? all : all.subarray(0, end))
    }
  }
}
