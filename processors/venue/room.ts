/**
 * Keeps the state of a venue within the size limit of an actor. Lasting data (the venue and its zones) gets the larger part: the more
 * zones there are, the shorter texts are cut. Requests are accepted only while there is room.
 */
import { recordSchema } from '../../schemas/index.ts'
import type { VenueState, ZoneSlot } from '../../schemas/types.ts'
import { clipped } from '../../domain/text.ts'

const MAX_LASTING_BYTES = 12.5 * 1024
const MAX_STATE_BYTES = 15.75 * 1024
/** Size of a request without its zones, and of each of its zones with a job or a result. */
const REQUEST_BYTES = 250
const ZONE_BYTES = 50

/** Bytes for track texts, zone names and notes; the first level that fits is used. */
const LEVELS = [
  { text: 100, name: 100, notes: 1000 },
  { text: 48, name: 100, notes: 1000 },
  { text: 32, name: 60, notes: 600 },
  { text: 20, name: 60, notes: 300 },
  { text: 12, name: 40, notes: 200 },
  { text: 8, name: 24, notes: 100 },
  { text: 0, name: 24, notes: 100 },
]

type Level = (typeof LEVELS)[number]

export function trimmed(state: VenueState): VenueState {
  let cut = state
  for (const level of LEVELS) {
    cut = cutTo(state, level)
    if (lastingBytes(cut) <= MAX_LASTING_BYTES) break
  }
  return cut
}

export function hasRoomFor(state: VenueState, zones: number): boolean {
  return bytes(state) + REQUEST_BYTES + zones * ZONE_BYTES <= MAX_STATE_BYTES
}

function cutTo(state: VenueState, { text, name, notes }: Level): VenueState {
  const playing = (what: string | null) => (text === 0 ? null : clipped(what, text))
  const zones = state.zones.map((zone): ZoneSlot => {
    const { track, artist, source } = zone
    return {
      ...zone,
      name: clipped(zone.name, name),
      track: playing(track),
      artist: playing(artist),
      source: playing(source),
    }
  })
  return { ...state, notes: clipped(state.notes, notes), zones }
}

function lastingBytes(state: VenueState): number {
  const zones = state.zones.map(zone => ({ ...zone, job: null, waiting: [] }))
  return bytes({ ...state, zones, requests: [], resumes: [] })
}

function bytes(state: VenueState): number {
  return recordSchema('VenueState').type.toBuffer(state).length
}
