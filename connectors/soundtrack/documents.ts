/**
 * The documents that are sent to Soundtrack, and what each costs: every object field costs 1 times the `first` of the
 * connections around it; scalars are free. A test compares the costs with what the server counts.
 */
import type { ZoneCommandKind } from '../../schemas/types.ts'

const PLAYBACK = 'id name online isPaired playback { state volume }'
const DETAIL = `subscription { state } status { code } nowPlaying { startedAt track { title artists { name } } }
  playFrom { __typename ... on Playlist { name } ... on Schedule { name } }`
const LOCATION = 'location { id }'
const PLAYBACK_COST = 1
const DETAIL_COST = 6
const LOCATION_COST = 1
/** Tells the locations of one account apart where the sheet does not. */
const PLACES = {
  name: { fields: 'location { id name }', cost: 1 },
  address: { fields: 'location { id name physicalAddress { addressLine1 city } }', cost: 2 },
}

export interface Document {
  readonly query: string
  readonly cost: number
}

export interface PageFields {
  /** All that is known of a zone. */
  readonly detail: boolean
  /** Each zone's location. */
  readonly locations: boolean
  /** What the locations are called, or where they are, too. */
  readonly places?: keyof typeof PLACES | null
}

/** A page of an account's zones: presence and playback, and more where asked for. */
export function pageDocument(first: number, { detail, locations, places = null }: PageFields): Document {
  const place = places !== null ? PLACES[places] : locations ? { fields: LOCATION, cost: LOCATION_COST } : { fields: '', cost: 0 }
  const fields = [PLAYBACK, detail ? DETAIL : '', place.fields].join(' ').trim()
  const perZone = PLAYBACK_COST + (detail ? DETAIL_COST : 0) + place.cost
  return {
    query: `query Zones($account: ID!, $first: Int, $after: String) { account(id: $account) {
  soundZones(first: $first, after: $after) { total pageInfo { hasNextPage endCursor } edges { node { ${fields} } } } } }`,
    cost: 1 + first * (1 + perZone),
  }
}

/** Least cost of reading this many zones. */
export function leastCost(zones: number, fields: Omit<PageFields, 'detail'>): number {
  return pageDocument(Math.max(1, zones), { ...fields, detail: false }).cost
}

/** One zone with everything. */
export const ZONE: Document = {
  query: `query Zone($zone: ID!) { soundZone(id: $zone) { ${PLAYBACK} ${DETAIL} ${LOCATION} } }`,
  cost: 1 + PLAYBACK_COST + DETAIL_COST + LOCATION_COST,
}

const mutation = (field: string, input: string): Document => ({
  query: `mutation Control($input: ${input}!) { ${field}(input: $input) { status soundZone } }`,
  cost: 1,
})

export const COMMANDS: Readonly<Record<Exclude<ZoneCommandKind, 'UNKNOWN'>, Document>> = {
  PLAY: mutation('play', 'PlayInput'),
  PAUSE: mutation('pause', 'PauseInput'),
  SKIP: mutation('skipTrack', 'SkipTrackInput'),
  SET_VOLUME: mutation('setVolume', 'SetVolumeInput'),
}

/** What of a zone's node is read. */
export interface ZoneNode {
  readonly id: string
  readonly name: string
  readonly online: boolean | null
  readonly isPaired: boolean | null
  readonly playback: { readonly state: string | null; readonly volume: number | null } | null
  readonly location?: {
    readonly id: string
    readonly name?: string
    readonly physicalAddress?: { readonly addressLine1: string; readonly city: string } | null
  } | null
  readonly subscription?: { readonly state: string | null } | null
  readonly status?: { readonly code: string | null } | null
  readonly nowPlaying?: {
    readonly startedAt: string | null
    readonly track: { readonly title: string; readonly artists: readonly { readonly name: string }[] | null } | null
  } | null
  readonly playFrom?: { readonly name?: string } | null
}
