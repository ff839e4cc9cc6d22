/**
 * What the fake Soundtrack holds: accounts with locations with zones, as data, and the zones as they live: tracks go on
 * with time, and commands change them.
 */
import { hash } from 'node:crypto'

/**
 * `trial`: readable, but commands end in "Not found". `no_device`: paired, yet its device is null. `muted`: volume 0.
 * `expired`: its subscription has run out.
 */
export type ZoneKind = 'normal' | 'trial' | 'unpaired' | 'expired' | 'no_device' | 'muted' | 'offline'

export interface WorldTrack {
  readonly title: string
  readonly artist: string
  readonly durationMs: number
}
export interface WorldZone {
  readonly id: string
  readonly name: string
  readonly kind: ZoneKind
  readonly volume: number
  readonly playing: boolean
  readonly playlist: string
  readonly tracks: readonly WorldTrack[]
  /** Its location cannot be read: null, with a NOT_FOUND error beside good data. */
  readonly hiddenLocation: boolean
}
export interface WorldLocation {
  readonly id: string
  readonly name: string
  /** First line; empty where the provider's customer gave none. */
  readonly address: string
  readonly zones: readonly WorldZone[]
}
export interface WorldAccount {
  readonly id: string
  readonly name: string
  readonly locations: readonly WorldLocation[]
}
export interface World {
  readonly accounts: readonly WorldAccount[]
}

/** What `world` needs to know; the rest has defaults. A zone may be just its name. */
export interface AccountPlan {
  readonly name: string
  readonly locations: readonly {
    readonly name: string
    readonly address?: string
    readonly zones: readonly (string | ZonePlan)[]
  }[]
}
export type ZonePlan = Partial<Omit<WorldZone, 'id' | 'name'>> & { readonly name: string }

const TRACKS: readonly WorldTrack[] = [
  { title: 'Slow Tide', artist: 'Marlow Keys', durationMs: 214_000 },
  { title: 'Paper Lanterns', artist: 'The Quiet Harbour', durationMs: 187_000 },
  { title: 'Monsoon Morning', artist: 'Anan Suk', durationMs: 241_000 },
]

/** A world from a plan. Ids follow from names, in the form the provider mints them. */
export function world(accounts: readonly AccountPlan[]): World {
  return {
    accounts: accounts.map(account => {
      const accountKey = `Account,,${keyOf(account.name)}/`
      return {
        id: mint(accountKey),
        name: account.name,
        locations: account.locations.map(location => {
          const locationKey = `Location,,${keyOf(`${account.name}/${location.name}`)}/${accountKey}`
          const zones = location.zones.map(plan => zoneOf(typeof plan === 'string' ? { name: plan } : plan, locationKey))
          return { id: mint(locationKey), name: location.name, address: location.address ?? '', zones }
        }),
      }
    }),
  }
}

function zoneOf(plan: ZonePlan, locationKey: string): WorldZone {
  return {
    id: mint(`SoundZone,,${keyOf(`${locationKey}/${plan.name}`)}/${locationKey}`),
    kind: 'normal',
    volume: plan.kind === 'muted' ? 0 : 8,
    playing: plan.kind !== 'expired' && plan.kind !== 'unpaired',
    playlist: 'House Blend',
    tracks: TRACKS,
    hiddenLocation: false,
    ...plan,
  }
}

/** An id as the provider mints it: base64url of a path, padded with dots. */
export function mint(path: string): string {
  return Buffer.from(path).toString('base64').replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '.')
}

/** Eleven lower-case alphanumerics that start with 1. */
export function keyOf(name: string): string {
  return `1${BigInt(`0x${hash('sha1', name).slice(0, 16)}`)
    .toString(36)
    .padStart(10, '0')
    .slice(0, 10)}`
}

/** A zone as it lives. All that is not readonly may be set, by commands and by tests. */
export interface LiveZone {
  readonly id: string
  readonly account: string
  readonly location: string
  readonly hiddenLocation: boolean
  readonly tracks: readonly WorldTrack[]
  name: string
  kind: ZoneKind
  online: boolean
  playing: boolean
  /** 0..16 */
  volume: number
  playlist: string
  /** Number of the track that plays, and since when, ms. */
  track: number
  startedAt: number
  /** How much of it has been heard, as of `settledAt`. */
  heardMs: number
  settledAt: number
}

export function liveZones(world: World, now: number): Map<string, LiveZone> {
  const zones = new Map<string, LiveZone>()
  for (const account of world.accounts) {
    for (const location of account.locations) {
      for (const { id, name, kind, volume, playing, playlist, tracks, hiddenLocation } of location.zones) {
        const online = kind !== 'offline' && kind !== 'unpaired'
        const fixed = { id, account: account.id, location: location.id, hiddenLocation, tracks }
        const state = { name, kind, online, playing, volume, playlist }
        zones.set(id, { ...fixed, ...state, track: 0, startedAt: now, heardMs: 0, settledAt: now })
      }
    }
  }
  return zones
}

/** Plays on to this time: tracks end, the next ones start. Paused and offline zones stand still. */
export function settle(zone: LiveZone, now: number): void {
  if (zone.playing && zone.online) zone.heardMs += Math.max(0, now - zone.settledAt)
  zone.settledAt = now
  for (let length = lengthOf(zone); zone.heardMs >= length; length = lengthOf(zone)) {
    zone.heardMs -= length
    zone.track = (zone.track + 1) % zone.tracks.length
    zone.startedAt = now - zone.heardMs
  }
}

export function skip(zone: LiveZone, now: number): void {
  settle(zone, now)
  zone.track = (zone.track + 1) % zone.tracks.length
  zone.heardMs = 0
  zone.startedAt = now
}

function lengthOf({ tracks, track }: LiveZone): number {
  return tracks[track % tracks.length]?.durationMs ?? Number.POSITIVE_INFINITY
}
