import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChannelLimits } from '../../domain/channel.ts'
import type { ReplyButton, SendMessage } from '../../schemas/types.ts'
import { cut } from '../../domain/text.ts'
import { formOf, inParts } from './form.ts'

const LIMITS: ChannelLimits = {
  textChars: 100,
  textWithChoicesChars: 40,
  buttons: { most: 2, titleChars: 8 },
  list: { most: 4, titleChars: 12, descriptionChars: 20 },
}
const PLAIN: ChannelLimits = { ...LIMITS, buttons: null, list: null }

const choices = (...titles: string[]): ReplyButton[] => titles.map(title => ({ id: `id:${title}`, title, description: null }))
const message = (text: string, buttons: ReplyButton[] = []): SendMessage => ({
  id: 'm1',
  conversation: 'main:c1',
  channel: 'pigeon',
  account: '1',
  to: 'loft',
  text,
  buttons,
  replyTo: 'before',
  lastInboundAt: 0,
  createdAt: 0,
  more: false,
})

describe('the form of choices', () => {
  it('is buttons for a few, a list for more, and text for too many or where the channel has neither', () => {
    expect(formOf([], LIMITS)).toBe('text')
    expect(formOf(choices('Yes', 'No'), LIMITS)).toBe('buttons')
    expect(formOf(choices('A', 'B', 'C'), LIMITS)).toBe('list')
    expect(formOf(choices('A', 'B', 'C', 'D', 'E'), LIMITS)).toBe('text')
    expect(formOf(choices('Yes', 'No'), PLAIN)).toBe('text')
  })

  it('is a list where two titles would be the same once they are cut', () => {
    expect(formOf(choices('Terrace north', 'Terrace south'), LIMITS)).toBe('list')
  })

  it('in the text: those that it does not name already go on with the numbers of its list, or are below it', () => {
    const said = (text: string, ...titles: string[]) => inParts(message(text, choices(...titles)), PLAIN)[0]
    const asked = said('Which zone?\n1. Lobby\n2. Pool', 'Lobby', 'Pool', 'All zones')
    expect(asked).toMatchObject({ text: 'Which zone?\n1. Lobby\n2. Pool\n3. All zones', buttons: [] })
    expect(said('1. Pool, Krabi\n2. Pool, Phuket\n\nWhich one?', 'Pool', 'Pool', 'Another venue')?.text).toBe(
      '1. Pool, Krabi\n2. Pool, Phuket\n3. Another venue\n\nWhich one?',
    )
    expect(inParts(message('Is it Lagoon?', choices('Yes', 'No')), PLAIN)[0]?.text).toBe('Is it Lagoon?\nYes · No')
  })
})

describe('a message in parts', () => {
  it('is itself where it fits', () => {
    const short = message('Which zone?', choices('Lobby', 'Pool'))
    expect(inParts(short, LIMITS)).toEqual([short])
  })

  it('ends where a line ends; each has the id of the whole, and the first shows what it answers', () => {
    const parts = inParts(message(`${'a'.repeat(70)}\n${'b'.repeat(60)}`), LIMITS)
    expect(parts.map(({ id, text, replyTo, more }) => [id, text, replyTo, more])).toEqual([
      ['m1', 'a'.repeat(70), 'before', true],
      ['m1', 'b'.repeat(60), null, false],
    ])
  })

  it('has none that is empty, whatever blanks are around its text', () => {
    const blanks = fc.string({ unit: fc.constantFrom(' ', '\n', '\t'), maxLength: 250 })
    const words = fc.string({ unit: fc.constantFrom('a', ' ', '\n'), minLength: 90, maxLength: 210 })
    fc.assert(
      fc.property(blanks, words, blanks, fc.boolean(), (before, said, after, asks) => {
        fc.pre(said.trim() !== '')
        const parts = inParts(message(before + said + after, asks ? choices('Yes', 'No') : []), LIMITS)
        for (const { text } of parts) expect(text).toBe(text.trim())
        for (const { text } of parts) expect(text).not.toBe('')
      }),
    )
    expect(inParts(message('a'.repeat(100) + ' '.repeat(40)), LIMITS)).toHaveLength(1)
    expect(inParts(message(' '.repeat(140) + 'a'.repeat(100)), LIMITS)).toHaveLength(1)
  })

  it('shows choices with the last part, which leaves room for them', () => {
    const parts = inParts(message('word '.repeat(15).trim(), choices('Yes', 'No')), LIMITS)
    expect(parts.map(p => p.buttons.length)).toEqual([0, 2])
    expect(parts.at(-1)?.text.length).toBeLessThanOrEqual(40)
  })

  it('fits the channel whatever it says, loses no word, and splits no character', () => {
    const sentence = fc.array(fc.constantFrom('music', '😀😀😀', 'ดนตรี', '\n', '\n\n', 'x'.repeat(130)), { maxLength: 40 })
    fc.assert(
      fc.property(sentence, fc.boolean(), (words, asks) => {
        const text = words.join(' ').trim()
        fc.pre(text.length <= 900)
        const parts = inParts(message(text, asks ? choices('Yes', 'No') : []), LIMITS)
        for (const [n, part] of parts.entries()) {
          const last = n === parts.length - 1
          expect(part.text.length).toBeLessThanOrEqual(last && asks ? 40 : 100)
          expect(part.text.isWellFormed()).toBe(true)
        }
        const bare = (said: string) => said.replace(/\s+/g, '')
        expect(bare(parts.map(p => p.text).join(''))).toBe(bare(text))
      }),
    )
  })

  it('that nobody would read to its end is cut', () => {
    const parts = inParts(message('x'.repeat(5_000)), LIMITS)
    expect(parts).toHaveLength(10)
    expect(parts.at(-1)?.text.endsWith('…')).toBe(true)
  })

  it('is cut after ten parts, however short they are', () => {
    const parts = inParts(message(`${'x'.repeat(51)} ${'y'.repeat(60)} `.repeat(9), choices('Yes', 'No')), LIMITS)
    expect(parts).toHaveLength(10)
    const last = parts.at(-1)
    expect(last).toMatchObject({ more: false, buttons: [{ title: 'Yes' }, { title: 'No' }] })
    expect(last?.text.length).toBe(40)
    expect(last?.text.endsWith('…')).toBe(true)
  })
})

it('a cut text keeps whole characters, and shows that something is missing', () => {
  expect(cut('Lobby', 5)).toBe('Lobby')
  expect(cut('Lobby bar', 6)).toBe('Lobby…')
  expect(cut('ab😀cd', 4)).toBe('ab…')
})
