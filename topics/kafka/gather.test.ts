import { describe, expect, it } from 'vitest'
import { wholeAnswers } from './gather.ts'

describe('answers in pieces', () => {
  const answer = (text: string) => {
    const made = Buffer.alloc(4 + text.length)
    made.writeInt32BE(text.length)
    made.write(text, 4)
    return made
  }

  it('are reassembled, wherever they are split', () => {
    const wanted = ['first', 'second one', 'third'].map(answer)
    const all = Buffer.concat(wanted)
    for (let piece = 1; piece <= all.length; piece++) {
      const found: Buffer[] = []
      const gather = wholeAnswers(whole => found.push(whole))
      for (let at = 0; at < all.length; at += piece) gather(all.subarray(at, at + piece))
      expect(found, `pieces of ${piece} bytes`).toEqual(wanted)
    }
  })

  it('of an impossible size are refused', () => {
    const gather = () => wholeAnswers(() => {})
    expect(() => gather()(Buffer.from([0xff, 0xff, 0xff, 0xff]))).toThrow(/-1 bytes/)
    expect(() => gather()(Buffer.from('HTTP/1.1'))).toThrow(/damaged/)
  })
})
