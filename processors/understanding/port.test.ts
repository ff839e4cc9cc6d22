import { describe, expect, it } from 'vitest'
import { recordSchema } from '../../schemas/index.ts'
import type { Understand, VenueProfile, VenueProfileInput } from '../../schemas/types.ts'
import { understandPort } from './port.ts'
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
const run = { attempt: 'a', key: 'k', notAfter: null, signal: new AbortController().signal, leave: () => {} }

describe('the port of understand', () => {
  it('waits for the zones of a venue that is only just known', async () => {
    const index = new VenueIndex()
    index.upsert(profile({ soundtrackAccount: 'acc' }))
    const understood = understandPort({ index })(input, run)
    index.upsert(profile({ soundtrackAccount: 'acc', zones: [{ zone: 'z1', name: 'Lobby', status: 'ONLINE' }] }))
    expect(await understood).toMatchObject({ intents: [{ kind: 'volume_down', zone: 'z1' }] })
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
