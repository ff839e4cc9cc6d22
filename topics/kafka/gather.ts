/** Answers as they come over a connection, in pieces: a size in four bytes, then as many. */

const SIZE = 4
/** A broker's answer to a Fetch may be longer than was asked for, by one record batch of any size. */
const MOST = 256 * 1024 * 1024

/**
 * Hands over each answer in one piece, with its size in front, once all of it has come.
 * @returns takes what has come. @throws when that cannot be an answer: nothing behind it can be read
 */
export function wholeAnswers(each: (answer: Buffer) => void): (data: Buffer) => void {
  let pieces: Buffer[] = []
  let length = 0
  /** Bytes that it takes to go on. */
  let wanted = SIZE
  return data => {
    pieces.push(data)
    length += data.length
    while (length >= wanted) {
      const all = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
      pieces = [all]
      const size = all.readInt32BE(0)
      if (size < SIZE || size > MOST) throw new Error(`an answer of ${size} bytes: what came over the connection is damaged`)
      const end = SIZE + size
      if (length < end) {
        wanted = end
        return
      }
      const rest = all.subarray(end)
      pieces = rest.length === 0 ? [] : [rest]
      length = rest.length
      wanted = SIZE
      each(length === 0 ? all : all.subarray(0, end))
    }
  }
}
