import { describe, expect, it, vi } from 'vitest'
import { recordSchema } from '../../schemas/index.ts'
import type { Understand, VenueProfile, VenueProfileInput } from '../../schemas/types.ts'
import { understandLookup, understandPort } from './port.ts'
import { VenueIndex } from './venues.ts'

const { type } = recordSchema('VenueProfile')
const profile = (more: Partial<VenueProfileInput>): VenueProfile => {
  const input = {
    venue: 'main:1',
    name: 'Blue Lagoon Pattaya',
    contactPhone: '66800000001',
    contactName: 'Mali',
    updatedAt: Date.now(),
    ...more,
  }
  return type.fromBuffer(type.toBuffer(input)) as VenueProfile
}
const input: Understand = {
  text: 'The music in the lobby is too loud',
  actionId: null,
  phone: '66800000001',
  dialogue: 'IDENTIFIED',
  venue: 'main:1',
  candidates: [],
  zones: [],
  language: null,
  message: 'm1',
}
const run = { attempt: 'a', key: 'k', notAfter: null, signal: new AbortController().signal, beforeSend: () => {} }

describe('the port of understand', () => {
  it('waits for the zones of a venue that is only just known', async () => {
    const index = new VenueIndex()
    index.upsert(profile({ soundtrackAccount: 'acc' }))
    const understood = understandPort({ index })(input, run)
    index.upsert(profile({ soundtrackAccount: 'acc', zones: [{ zone: 'z1', name: 'Lobby', status: 'ONLINE' }] }))
    expect(await understood).toMatchObject({ intents: [{ kind: 'volume_down', zone: 'z1' }] })
  })

  it('makes out a message anew only with its zones, whatever else becomes known while it waits', async () => {
    const index = new VenueIndex()
    const match = vi.spyOn(index, 'match')
    const zones = [{ zone: 'z1', name: 'Lobby', status: 'ONLINE' as const }]
    index.upsert(profile({ soundtrackAccount: 'acc' }))
    const understood = understandPort({ index, patienceMs: 60_000 })(input, run)
    index.upsert(profile({ venue: 'main:2', name: 'Siam Terrace', soundtrackAccount: 'other', zones }))
    index.upsert(profile({ soundtrackAccount: 'acc', aliases: ['Lagoon'] }))
    await new Promise(setImmediate)
    index.upsert(profile({ soundtrackAccount: 'acc', zones }))
    expect(await understood).toMatchObject({
      venueName: 'Blue Lagoon Pattaya',
      intents: [{ kind: 'volume_down', zone: 'z1' }],
      issue: expect.stringContaining('lobby'),
    })
    // Once before and once with the zones, whose names are none of a venue; not with all that came between.
    expect(match).toHaveBeenCalledTimes(2)
  })

  it('waits no longer once its venue is gone, or nobody waits for the answer', async () => {
    const index = new VenueIndex()
    const port = understandPort({ index, patienceMs: 60_000 })
    index.upsert(profile({ soundtrackAccount: 'acc' }))
    const gone = port(input, run)
    index.remove('main:1')
    expect(await gone).toMatchObject({ venueName: null })

    index.upsert(profile({ soundtrackAccount: 'acc' }))
    const waiting = new AbortController()
    const given = port(input, { ...run, signal: waiting.signal })
    waiting.abort()
    expect(await given).toMatchObject({ message: 'm1', zones: [] })
  })

  it('waits on a clock: as long as the venue is new, at most as long as it may', async () => {
    const index = new VenueIndex()
    const seen: number[] = []
    vi.useFakeTimers()
    try {
      index.upsert(profile({ soundtrackAccount: 'acc', updatedAt: Date.now() - 58_000 }))
      const began = Date.now()
      void Promise.resolve(understandPort({ index })(input, run)).then(() => seen.push(Date.now() - began))
      index.upsert(profile({ soundtrackAccount: 'acc' }))
      const other = { ...input, venue: 'main:2' }
      index.upsert(profile({ venue: 'main:2', soundtrackAccount: 'acc', updatedAt: Date.now() - 58_000 }))
      void Promise.resolve(understandPort({ index })(other, run)).then(() => seen.push(Date.now() - began))
      await vi.advanceTimersByTimeAsync(10_000)
      expect(seen).toEqual([2_000, 4_500])
    } finally {
      vi.useRealTimers()
    }
  })

  it.each(['hello', 'thank you', 'I want to talk to a human', 'how much does it cost?'])(
    'waits for no zone to read %j',
    async text => {
      const index = new VenueIndex()
      index.upsert(profile({ soundtrackAccount: 'acc' }))
      expect(await understandPort({ index, patienceMs: 60_000 })({ ...input, text }, run)).toMatchObject({ message: 'm1' })
    },
  )

  it('does not wait for long, nor for a venue that has long had no zones, has no account, or none to expect', async () => {
    const index = new VenueIndex()
    index.upsert(profile({ soundtrackAccount: 'acc' }))
    expect(await understandPort({ index, patienceMs: 30 })(input, run)).toMatchObject({ message: 'm1' })
    const patient = understandPort({ index, patienceMs: 60_000 })
    for (const venue of [
      { soundtrackAccount: 'acc', updatedAt: Date.now() - 100_000 },
      { soundtrackAccount: null },
      { soundtrackAccount: 'acc', zoneCount: 0 },
      { soundtrackAccount: 'acc', readError: 'ambiguous' },
    ]) {
      index.upsert(profile(venue))
      expect(await patient(input, run)).toMatchObject({ message: 'm1' })
    }
  })
})

describe('the look-up of understand', () => {
  const zones = [{ zone: 'z1', name: 'Lobby', status: 'ONLINE' as const }]

  it('answers at once, and leaves to the port what has to wait for zones', () => {
    const index = new VenueIndex()
    const lookup = understandLookup({ index })
    expect(lookup(input)).toMatchObject({ message: 'm1', venueName: null })
    index.upsert(profile({ soundtrackAccount: 'acc' }))
    expect(lookup(input)).toBeNull()
    expect(lookup({ ...input, text: 'thank you' })).toMatchObject({ venueName: 'Blue Lagoon Pattaya' })
    index.upsert(profile({ soundtrackAccount: 'acc', zones }))
    expect(lookup(input)).toMatchObject({ intents: [{ kind: 'volume_down', zone: 'z1' }] })
  })

  it.each(['INITIAL', 'CONFIRMING_VENUE', 'ASKING_PERSON_NAME'])('waits for no zone in state %s', dialogue => {
    const index = new VenueIndex()
    index.upsert(profile({ soundtrackAccount: 'acc' }))
    const text = 'This is Nok from Blue Lagoon Pattaya, the music in the lobby is too loud'
    const venue = dialogue === 'INITIAL' ? null : 'main:1'
    expect(understandLookup({ index })({ ...input, text, dialogue, venue })).toMatchObject({
      match: 'EXACT',
      matches: [{ venue: 'main:1' }],
      intents: [{ kind: 'volume_down' }],
      issue: expect.stringContaining('lobby'),
    })
  })
})
