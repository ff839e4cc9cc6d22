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

export interface Document {
  readonly query: string
  readonly cost: number
}

/** A page of an account's zones: presence and playback, and more where asked for. */
export function pageDocument(first: number, { detail, locations }: { detail: boolean; locations: boolean }): Document {
  const fields = [PLAYBACK, detail ? DETAIL : '', locations ? LOCATION : ''].join(' ').trim()
  const perZone = PLAYBACK_COST + (detail ? DETAIL_COST : 0) + (locations ? LOCATION_COST : 0)
  return {
    query: `query Zones($account: ID!, $first: Int, $after: String) { account(id: $account) {
  soundZones(first: $first, after: $after) { total pageInfo { hasNextPage endCursor } edges { node { ${fields} } } } } }`,
    cost: 1 + first * (1 + perZone),
  }
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
  readonly location?: { readonly id: string } | null
  readonly subscription?: { readonly state: string | null } | null
  readonly status?: { readonly code: string | null } | null
  readonly nowPlaying?: {
    readonly startedAt: string | null
    readonly track: { readonly title: string; readonly artists: readonly { readonly name: string }[] | null } | null
  } | null
  readonly playFrom?: { readonly name?: string } | null
}
