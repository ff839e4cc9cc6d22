/**
 * The graph that the fake Soundtrack answers from: resolvers for `schema.graphql` over a world and its living zones.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildSchema, GraphQLError, type GraphQLScalarType } from 'graphql'
import { DEFAULT_PAGE } from './fake-complexity.ts'
import type { Faults } from './fake-faults.ts'
import { keyOf, type LiveZone, mint, settle, skip, type World, type WorldAccount, type WorldLocation } from './fake-world.ts'

export const schema = buildSchema(readFileSync(join(import.meta.dirname, 'schema.graphql'), 'utf8'))
const volume = schema.getType('Volume') as GraphQLScalarType
volume.parseValue = value => {
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 16) return value
  throw new GraphQLError(`Volume must be an integer from 0 to 16, not ${value}`, { extensions: { code: 'BAD_USER_INPUT' } })
}
volume.parseLiteral = node => volume.parseValue('value' in node ? Number(node.value) : undefined)

interface Page {
  readonly first?: number | null
  readonly after?: string | null
}
interface ZoneInput {
  readonly input: { readonly soundZone: string; readonly clientMutationId?: string; readonly volume?: number }
}

/** The root value of one request. `cost` is its complexity. */
export function graph(world: World, zones: ReadonlyMap<string, LiveZone>, faults: Faults, now: number, cost: number) {
  const forbidden = () => new GraphQLError('Forbidden')

  const account = (id: string): WorldAccount => {
    const found = world.accounts.find(a => a.id === id)
    const refused = faults.take(['forbidden'], [{ operation: 'account', account: id }])
    if (found === undefined || refused !== undefined) throw forbidden()
    return found
  }
  const zone = (id: string, operation: string): LiveZone => {
    const found = zones.get(id)
    const refused = faults.take(['forbidden'], [{ operation, zone: id, account: found?.account }])
    if (found === undefined || refused !== undefined) throw forbidden()
    settle(found, now)
    return found
  }
  const locations = world.accounts.flatMap(a => a.locations)

  const accountNode = ({ id, name, locations }: WorldAccount) => {
    const own = locations.flatMap(l => l.zones.map(z => zones.get(z.id) as LiveZone))
    return {
      __typename: 'Account',
      id,
      businessName: name,
      locations: (page: Page) => connection(locations, page, locationNode),
      soundZones: ({ filter, ...page }: Page & { filter?: { isPaired?: boolean | null; online?: boolean | null } | null }) => {
        const wanted = own.filter(
          z => (filter?.isPaired ?? isPaired(z)) === isPaired(z) && (filter?.online ?? z.online) === z.online,
        )
        return connection(wanted, page, z => zoneNode(z.id, 'soundZones'))
      },
      soundZoneStatuses: () => {
        const totals = new Map<string, number>()
        for (const z of own) totals.set(statusOf(z).state, (totals.get(statusOf(z).state) ?? 0) + 1)
        return [...totals].map(([status, total]) => ({ status, total }))
      },
    }
  }

  const locationNode = ({ id, name, address, zones: own }: WorldLocation) => ({
    __typename: 'Location',
    id,
    name,
    physicalAddress: { addressLine1: address, addressLine2: '', postalCode: '', city: '', state: '', countryName: '' },
    account: () => accountNode(world.accounts.find(a => a.locations.some(l => l.id === id)) as WorldAccount),
    soundZones: (page: Page) => connection(own, page, z => zoneNode(z.id, 'soundZones')),
  })

  const zoneNode = (id: string, operation: string) => {
    const live = zone(id, operation)
    if (faults.take(['flapping'], [{ operation, zone: id, account: live.account }])) live.online = !live.online
    const playFrom = { __typename: 'Playlist', id: mint(`Playlist,,${keyOf(live.playlist)}/`), name: live.playlist }
    const expired = live.kind === 'expired'
    return {
      __typename: 'SoundZone',
      id,
      name: live.name,
      account: () => accountNode(account(live.account)),
      location: () => {
        if (live.hiddenLocation) throw new GraphQLError('Location not found', { extensions: { code: 'NOT_FOUND' } })
        return locationNode(locations.find(l => l.id === live.location) as WorldLocation)
      },
      device: isPaired(live) && live.kind !== 'no_device' ? deviceOf(live) : null,
      subscription: { isActive: !expired, activeUntil: new Date(now).toISOString(), state: expired ? 'EXPIRED' : 'ACTIVE' },
      online: live.online,
      isPaired: isPaired(live),
      playFrom: isPaired(live) ? playFrom : null,
      playback: { id, soundZone: id, state: playbackOf(live), playFrom, volume: isPaired(live) ? live.volume : null },
      nowPlaying: live.online && !expired ? { ...nowPlayingOf(live), playFrom } : null,
      status: statusOf(live),
    }
  }

  const command = (operation: string, change: (zone: LiveZone, volume: number) => void) => (input: ZoneInput) => {
    const { soundZone, clientMutationId = null, volume } = input.input
    const live = zone(soundZone, operation)
    if (live.kind === 'trial' || live.kind === 'expired' || !isPaired(live)) throw new GraphQLError('Not found')
    const ignored = faults.take(['no_effect'], [{ operation, zone: live.id, account: live.account }]) !== undefined
    if (!ignored && live.online) change(live, volume ?? live.volume)
    return { clientMutationId, status: 'ok', soundZone, volume }
  }

  return {
    me: () => ({
      __typename: 'PublicAPIClient',
      id: mint('PublicAPIClient,,1demo000000/'),
      accounts: (page: Page) => connection(world.accounts, page, accountNode),
    }),
    account: ({ id }: { id: string }) => accountNode(account(id)),
    location: ({ id }: { id: string }) => {
      const found = locations.find(l => l.id === id)
      if (found === undefined) throw forbidden()
      return locationNode(found)
    },
    soundZone: ({ id }: { id: string }) => zoneNode(id, 'soundZone'),
    node: ({ id }: { id: string }) => {
      if (zones.has(id)) return zoneNode(id, 'node')
      const location = locations.find(l => l.id === id)
      return location === undefined ? accountNode(account(id)) : locationNode(location)
    },
    nowPlaying: ({ soundZone }: { soundZone: string }) => zoneNode(soundZone, 'nowPlaying').nowPlaying,
    queryInfo: () => ({ complexity: cost }),
    play: command('play', live => {
      live.playing = true
    }),
    pause: command('pause', live => {
      live.playing = false
    }),
    skipTrack: command('skipTrack', live => skip(live, now)),
    setVolume: command('setVolume', (live, volume) => {
      live.volume = volume
    }),
  }
}

/** A relay connection. A node that fails is null, with its error; the rest is good. */
function connection<T>(items: readonly T[], { first, after }: Page, node: (item: T) => unknown) {
  const from = after == null ? 0 : Number(Buffer.from(after, 'base64url').toString().replace('at:', '')) + 1
  if (!Number.isInteger(from)) throw new GraphQLError('Invalid cursor', { extensions: { code: 'BAD_USER_INPUT' } })
  const page = items.slice(from, from + (first ?? DEFAULT_PAGE))
  const cursor = (n: number) => Buffer.from(`at:${from + n}`).toString('base64url')
  return {
    total: items.length,
    edges: page.map((item, n) => ({ cursor: cursor(n), node: () => node(item) })),
    pageInfo: {
      hasNextPage: from + page.length < items.length,
      hasPreviousPage: from > 0,
      startCursor: page.length === 0 ? null : cursor(0),
      endCursor: page.length === 0 ? null : cursor(page.length - 1),
    },
  }
}

const isPaired = (zone: LiveZone) => zone.kind !== 'unpaired'

function statusOf(zone: LiveZone): { state: string; code: string } {
  if (!isPaired(zone)) return { state: 'INCOMPLETE', code: 'NOT_PAIRED' }
  if (zone.kind === 'expired') return { state: 'ERROR', code: 'SUBSCRIPTION_EXPIRED' }
  if (!zone.online) return { state: 'ERROR', code: 'PLAYER_DISCONNECTED' }
  return zone.volume === 0 ? { state: 'ERROR', code: 'PLAYER_MUTED' } : { state: 'OK', code: 'ALL_OK' }
}

function playbackOf(zone: LiveZone): string {
  if (!isPaired(zone)) return 'unpaired'
  if (!zone.online) return 'offline'
  return zone.playing ? 'playing' : 'paused'
}

function nowPlayingOf({ id, tracks, track, startedAt }: LiveZone) {
  const playing = tracks[track % tracks.length]
  if (playing === undefined) return { soundZone: id, startedAt: null, track: null }
  const { title, artist, durationMs } = playing
  const artistNode = { __typename: 'Artist', id: mint(`Artist,,${keyOf(artist)}/`), name: artist }
  const album = { id: mint(`Album,,${keyOf(`${artist}/${title}`)}/`), title }
  const node = { id: mint(`Track,,${keyOf(title)}/`), title, durationMs, album, artists: [artistNode] }
  return { soundZone: id, startedAt: new Date(startedAt).toISOString(), track: node }
}

function deviceOf({ id, name }: LiveZone) {
  return { id: mint(`Device,,${keyOf(id)}/`), name: `${name} player`, type: 'player', platform: 'android', isPairing: false }
}
