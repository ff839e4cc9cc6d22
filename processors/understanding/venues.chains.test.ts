/** The matcher measured on invented chains: every brand has houses in many cities, and some of them are not in the catalogue. */
import { beforeAll, describe, expect, test } from 'vitest'
import { profile } from './testing/fixtures.ts'
import { VenueIndex } from './venues.ts'

const FIRST =
  'Amber Azure Coral Crimson Crystal Emerald Golden Indigo Ivory Jade Lunar Mango Misty Opal Pearl Ruby Saffron Sapphire Scarlet Silver'
const SECOND =
  'Anchor Arrow Bridge Canyon Compass Crane Cove Dragon Falcon Fern Harbor Heron Lantern Leaf Marina Meadow Oasis Orchard Peacock Reef'
const KINDS = ['', 'Hotel', 'Resort', 'Spa', 'Restaurant', 'Beach Resort', 'Bar']
const CITIES =
  'Bangkok,Pattaya,Phuket,Krabi,Samui,Chiang Mai,Hua Hin,Rayong,Khao Lak,Ayutthaya,Singapore,Bali,Penang,Danang,Cebu'.split(',')
const CATALOGUE = 3000
const HELD_OUT = 2000

/** A linear congruential generator (Numerical Recipes), so that every run is the same. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const random = generator(7)
const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!

function slip(name: string): string {
  const at = 1 + Math.floor(random() * (name.length - 2))
  const [before, after] = [name.slice(0, at), name.slice(at)]
  return pick([before + after.slice(1), before + after[1] + after[0] + after.slice(2), `${before}e${after}`])
}

const SENTENCES: readonly ((name: string) => string)[] = [
  name => name,
  name => `Hi, I am from ${name}, the music stopped`,
  name => name.toLowerCase(),
  name => `hello this is ${name}. can you turn it up in the lobby?`,
  name => `no sound at ${name} since this morning`,
  slip,
  name => `calling from ${slip(name)}`,
  name => `the ${name} please`,
]

describe('invented chains', () => {
  const houses = FIRST.split(' ').flatMap(first =>
    SECOND.split(' ').flatMap(second => {
      const kind = pick(KINDS)
      return CITIES.map(city => ({ name: [first, second, kind, city].filter(Boolean).join(' '), city }))
    }),
  )
  for (let at = houses.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1))
    ;[houses[at], houses[other]] = [houses[other]!, houses[at]!]
  }
  const known = houses.slice(0, CATALOGUE)
  const unknown = houses.slice(CATALOGUE, CATALOGUE + HELD_OUT)
  const index = new VenueIndex()
  const ask = ({ name }: { name: string }, at: number) =>
    index.match(SENTENCES[at % SENTENCES.length]!(name), { asking: at % 2 === 0 })

  beforeAll(() => {
    for (const [at, { name, city }] of known.entries()) index.upsert(profile(`v${at}`, name, { location: city }))
  })

  test('finds the houses of the catalogue, in sentences and misspelt', () => {
    const right = known.slice(0, 2000).filter((house, at) => ask(house, at).candidates[0]?.name === house.name)
    expect(right.length / 2000).toBeGreaterThan(0.97)
  })

  test('takes at most one in a hundred names that are not in the catalogue for one that is', () => {
    const accepted = unknown.filter((house, at) => ['EXACT', 'LIKELY'].includes(ask(house, at).decision))
    expect(accepted.length / HELD_OUT).toBeLessThanOrEqual(0.01)
  })

  test('answers and updates quickly with 10,000 venues', () => {
    for (let at = 0; at < 10_000 - CATALOGUE; at++) {
      index.upsert(
        profile(`more${at}`, `${String.fromCharCode(97 + (at % 26))}ora${at.toString(36)} ${pick(KINDS)} ${pick(CITIES)}`),
      )
    }
    expect(index.size).toBe(10_000)
    const median = (times: number[]) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!
    const timed = (act: (at: number) => void) =>
      Array.from({ length: 400 }, (_, at) => {
        const start = performance.now()
        act(at)
        return performance.now() - start
      })
    timed(at => ask(known[at]!, at))
    expect(median(timed(at => ask(known[at]!, at)))).toBeLessThan(3)
    expect(median(timed(at => index.upsert(profile(`v${at}`, known[at]!.name, { location: known[at]!.city }))))).toBeLessThan(3)
  })
})
