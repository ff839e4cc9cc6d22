/** Invented venues and messages for the tests of this folder. */
import type { Understand, UnderstandInput, VenueProfile } from '../../../schemas/types.ts'
import { VenueIndex } from '../venues.ts'

export function profile(venue: string, name: string, more: Partial<VenueProfile> = {}): VenueProfile {
  return {
    venue,
    name,
    location: '',
    aliases: [],
    contactName: null,
    contactEmail: null,
    contactPhone: null,
    contactPosition: null,
    soundtrackAccount: null,
    soundtrackLocation: null,
    zoneCount: null,
    subscriptionStatus: null,
    lastIssueDate: null,
    notes: null,
    priorityLevel: null,
    slaTier: null,
    volumeCap: 16,
    provenance: [],
    overrides: [],
    commands: [],
    zones: [],
    removed: false,
    readError: '',
    updatedAt: 0,
    ...more,
  }
}

/** Zones with ids made of the venue and the name: `v1/Lobby`. */
export function zones(venue: string, ...names: string[]): VenueProfile['zones'] {
  return names.map(name => ({
    zone: `${venue}/${name}`,
    name,
    status: 'ONLINE',
    detail: '',
    playback: null,
    volume: null,
    track: null,
    artist: null,
    source: null,
    since: null,
    lastSeen: null,
    asOf: null,
  }))
}

export function indexOf(...profiles: VenueProfile[]): VenueIndex {
  const index = new VenueIndex()
  for (const one of profiles) index.upsert(one)
  return index
}

export function message(text: string, more: Partial<UnderstandInput> = {}): Understand {
  const bare = {
    actionId: null,
    phone: null,
    dialogue: 'IDENTIFIED',
    venue: null,
    candidates: [],
    zones: [],
    language: null,
    message: 'm1',
  }
  return { ...bare, ...more, text } as Understand
}
