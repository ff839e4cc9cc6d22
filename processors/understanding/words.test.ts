/** The word lists that hold phrases: every one of them compiles, says something, and is found where it is said. */
import { describe, expect, test } from 'vitest'
import { clauses, normalise } from './normalize.ts'
import { compile, type Lists } from './phrases.ts'
import english from './words/english.json' with { type: 'json' }
import intents from './words/intents.json' with { type: 'json' }
import moods from './words/moods.json' with { type: 'json' }
import numbers from './words/numbers.json' with { type: 'json' }
import people from './words/people.json' with { type: 'json' }
import replies from './words/replies.json' with { type: 'json' }
import zones from './words/zones.json' with { type: 'json' }

const lists: Lists = intents.lists

/** A clause that a phrase should be found in: the first of its alternatives, nothing in its gaps. */
function example(phrase: string): string {
  const said = phrase.split(' ').filter(part => !['^', '$', '…'].includes(part))
  return said
    .map(part => part.replace(/\?$/, '').split('|')[0]!)
    .map(word =>
      word.startsWith('@') ? lists[word.slice(1)]![0]! : word === '#' ? '8' : word === '§' ? '§0' : word.replace(/\*$/, ''),
    )
    .map(word => (word === '§0' ? word : normalise(word)))
    .join(' ')
}

const phrases = [
  ...intents.intents.flatMap(({ phrases, weak }) => [...phrases, ...weak]),
  ...[intents.negators, intents.questions, intents.stopped].flat(),
  ...Object.values(moods).flat(),
  ...[replies.yes, replies.yesAlone, replies.no, replies.noAlone, replies.noneOfThese, replies.greetings].flat(),
  ...[replies.human, replies.restart, replies.stop, replies.toEnglish, replies.toThai].flat(),
  ...zones.all,
]

describe('phrases', () => {
  test.each(phrases)('"%s" is found where it is said', phrase => {
    expect(clauses(example(phrase)).some(clause => compile([phrase], lists).test(clause))).toBe(true)
  })
})

describe('intents', () => {
  const kinds = intents.intents.map(({ kind }) => kind)

  test('every kind stands once', () => {
    expect(new Set(kinds).size).toBe(kinds.length)
    expect(kinds).toEqual(
      expect.arrayContaining(
        'volume_up volume_down volume_set mute unmute play pause skip change_playlist schedule_music block_song what_playing status_check list_zones schedule_query contract_query pricing_query contact_query product_query licensing_query help report_issue no_sound device_offline hardware pairing_help greeting thanks complaint cancel_threat new_prospect demo_request quote_request new_location renewal'.split(
          ' ',
        ),
      ),
    )
  })

  test('no phrase stands twice within a kind', () => {
    for (const { phrases, weak } of intents.intents) {
      const all = [...phrases, ...weak]
      expect(all.filter((phrase, at) => all.indexOf(phrase) !== at)).toEqual([])
    }
  })

  test('what beats what names known kinds, and nothing beats what beats it', () => {
    for (const [kind, beaten] of Object.entries(intents.beats as Record<string, string[]>)) {
      for (const other of [kind, ...beaten]) expect(kinds).toContain(other)
      for (const other of beaten) expect((intents.beats as Record<string, string[]>)[other] ?? []).not.toContain(kind)
    }
  })

  test('every kind but courtesies has its matter in both languages', () => {
    const silent = ['greeting', 'thanks', 'help']
    expect(Object.keys(intents.issues).sort()).toEqual(kinds.filter(kind => !silent.includes(kind)).sort())
    for (const [en, th] of Object.values(intents.issues)) {
      expect(en).toMatch(/^[A-Z]/)
      expect(th).toMatch(/[ก-๙]/)
    }
  })

  test('all lists are used', () => {
    const used = phrases.flatMap(phrase => [...phrase.matchAll(/@(\w+)/g)].map(match => match[1]!))
    expect([...new Set(used)].sort()).toEqual(Object.keys(lists).sort())
  })
})

test('words for numbers, people and languages are in one written form', () => {
  const written = [
    ...Object.keys(numbers.words),
    ...Object.keys(numbers.ordinals),
    ...Object.values(people.positions).flat(),
    ...english,
  ]
  expect(written.filter(word => normalise(word) !== word)).toEqual([])
})

test('a common word for zones means one kind of zone, and a title one position', () => {
  for (const group of [zones.concepts, people.positions]) {
    const forms = Object.values(group).flat()
    expect(forms.filter((form, at) => forms.indexOf(form) !== at)).toEqual([])
  }
})
