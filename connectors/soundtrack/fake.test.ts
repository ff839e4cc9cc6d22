import { afterEach, describe, expect, it } from 'vitest'
import { type FakeSoundtrack, type FakeSoundtrackOptions, startFakeSoundtrack, world } from './fake.ts'

const lagoon = world([
  {
    name: 'Blue Lagoon Group',
    locations: [
      { name: 'Blue Lagoon Beach', zones: ['Lobby', { name: 'Pool', kind: 'offline' }, { name: 'Spa', kind: 'trial' }] },
      {
        name: 'Blue Lagoon City',
        zones: [
          { name: 'Bar', kind: 'muted' },
          { name: 'Gym', kind: 'unpaired' },
          { name: 'Roof', kind: 'no_device' },
          { name: 'Cellar', kind: 'expired' },
          { name: 'Garden', hiddenLocation: true },
        ],
      },
    ],
  },
])
const account = lagoon.accounts[0]?.id as string
const zone = (name: string) =>
  lagoon.accounts.flatMap(a => a.locations.flatMap(l => l.zones)).find(z => z.name === name)?.id as string

let fake: FakeSoundtrack
let clock = 1_750_000_000_000
async function start(options: Partial<FakeSoundtrackOptions> = {}) {
  fake = await startFakeSoundtrack({ world: lagoon, token: 'dG9rZW4', now: () => clock, ...options })
}
afterEach(() => fake.close())

async function ask(query: string, variables: object = {}, init: RequestInit = {}) {
  const headers = { 'content-type': 'application/json', authorization: 'Basic dG9rZW4' }
  const response = await fetch(fake.url, { method: 'POST', headers, body: JSON.stringify({ query, variables }), ...init })
  const text = await response.text()
  const header = (name: string) => Number(response.headers.get(`x-ratelimiting-${name}`))
  // biome-ignore lint/suspicious/noExplicitAny: answers of any shape
  const body = (text.startsWith('{') ? JSON.parse(text) : text) as any
  return { status: response.status, body, cost: header('cost'), available: header('tokens-available') }
}
const volumeOf = (name: string, volume: number) =>
  ask('mutation ($input: SetVolumeInput!) { setVolume(input: $input) { volume } }', { input: { soundZone: zone(name), volume } })

describe('transport', () => {
  it('answers 401 without the token, whether Basic or Bearer', async () => {
    await start()
    const without = await ask('{ me { __typename } }', {}, { headers: { authorization: 'Basic other' } })
    expect(without.status).toBe(401)
    const headers = { 'content-type': 'application/json', authorization: 'Bearer dG9rZW4' }
    const bearer = await ask('{ me { __typename } }', {}, { headers, body: '{"query":"{ me { __typename } }"}' })
    expect(bearer.body).toEqual({ data: { me: { __typename: 'PublicAPIClient' } } })
  })

  it('takes application/graphql', async () => {
    await start()
    const headers = { 'content-type': 'application/graphql', authorization: 'Basic dG9rZW4' }
    const { body } = await ask('', {}, { headers, body: `{ account(id: "${account}") { businessName } }` })
    expect(body.data.account.businessName).toBe('Blue Lagoon Group')
  })

  it('answers a field that does not exist with errors inside HTTP 200', async () => {
    await start()
    const { status, body } = await ask(`{ soundZone(id: "${zone('Lobby')}") { volume } }`)
    expect(status).toBe(200)
    expect(body.errors[0].message).toContain('volume')
  })

  it('mints ids as the provider does', async () => {
    await start()
    expect(account).toMatch(/^QWNjb3VudCws/)
    expect(Buffer.from(zone('Lobby').replaceAll('.', ''), 'base64url').toString()).toMatch(
      /^SoundZone,,1[a-z0-9]{10}\/Location,,1[a-z0-9]{10}\/Account,,1[a-z0-9]{10}\/$/,
    )
  })
})

describe('reading', () => {
  it('pages with opaque cursors and a total', async () => {
    await start()
    const query = `query ($after: String) { account(id: "${account}") { soundZones(first: 5, after: $after) {
      total pageInfo { hasNextPage endCursor } edges { node { name } } } } }`
    const first = (await ask(query)).body.data.account.soundZones
    expect([first.total, first.edges.length, first.pageInfo.hasNextPage]).toEqual([8, 5, true])
    const second = (await ask(query, { after: first.pageInfo.endCursor })).body.data.account.soundZones
    expect([second.edges.length, second.pageInfo.hasNextPage]).toEqual([3, false])
    const names = [...first.edges, ...second.edges].map(e => e.node.name)
    expect(new Set(names).size).toBe(8)
  })

  it('shows each kind of zone as the provider does', async () => {
    await start()
    const query = `{ account(id: "${account}") { soundZones(first: 10) { edges { node {
      name online isPaired status { code } subscription { state } device { id } playback { state volume } } } } } }`
    const { body } = await ask(query)
    // biome-ignore lint/suspicious/noExplicitAny: nodes as they came
    const by = new Map(body.data.account.soundZones.edges.map(({ node }: any) => [node.name, node])) as Map<string, any>
    expect(by.get('Lobby')).toMatchObject({ online: true, status: { code: 'ALL_OK' }, playback: { state: 'playing', volume: 8 } })
    expect(by.get('Pool')).toMatchObject({
      online: false,
      status: { code: 'PLAYER_DISCONNECTED' },
      playback: { state: 'offline' },
    })
    expect(by.get('Bar')).toMatchObject({ status: { code: 'PLAYER_MUTED' }, playback: { volume: 0 } })
    expect(by.get('Gym')).toMatchObject({ isPaired: false, device: null, playback: { state: 'unpaired', volume: null } })
    expect(by.get('Roof')).toMatchObject({ isPaired: true, device: null, online: true })
    expect(by.get('Cellar')).toMatchObject({ subscription: { state: 'EXPIRED' } })
  })

  it('answers a location that cannot be read with null and NOT_FOUND, beside good data', async () => {
    await start()
    const { body } = await ask(`{ soundZone(id: "${zone('Garden')}") { name location { id } } }`)
    expect(body.data.soundZone).toEqual({ name: 'Garden', location: null })
    expect(body.errors[0]).toMatchObject({ path: ['soundZone', 'location'], extensions: { code: 'NOT_FOUND' } })
  })

  it('answers an id that is not yours with Forbidden', async () => {
    await start()
    const { status, body } = await ask('{ account(id: "QWNjb3VudCws") { businessName } }')
    expect(status).toBe(200)
    expect(body).toMatchObject({ data: { account: null }, errors: [{ message: 'Forbidden' }] })
  })

  it('plays on with time, and stands still while paused', async () => {
    await start()
    const now = async () => (await ask(`{ nowPlaying(soundZone: "${zone('Lobby')}") { track { title } } }`)).body.data.nowPlaying
    const before = (await now()).track.title
    clock += 220_000
    const after = (await now()).track.title
    expect(after).not.toBe(before)
    await ask(`mutation { pause(input: { soundZone: "${zone('Lobby')}" }) { status } }`)
    clock += 500_000
    expect((await now()).track.title).toBe(after)
  })
})

describe('control', () => {
  it('pauses, plays, skips and sets the volume', async () => {
    await start()
    const live = fake.zones.get(zone('Lobby'))
    const input = { soundZone: zone('Lobby') }
    await ask('mutation ($input: PauseInput!) { pause(input: $input) { soundZone } }', { input })
    expect(live?.playing).toBe(false)
    await ask('mutation ($input: PlayInput!) { play(input: $input) { soundZone } }', { input })
    expect(live?.playing).toBe(true)
    const track = live?.track
    await ask('mutation ($input: SkipTrackInput!) { skipTrack(input: $input) { soundZone } }', { input })
    expect(live?.track).not.toBe(track)
    expect((await volumeOf('Lobby', 3)).body.data.setVolume.volume).toBe(3)
    expect(live?.volume).toBe(3)
    expect(fake.calls.map(c => c.operation)).toEqual(['pause', 'play', 'skipTrack', 'setVolume'])
    expect(fake.calls.at(-1)).toMatchObject({ zone: zone('Lobby'), account, variables: { input: { volume: 3 } } })
  })

  it.each([17, -1, 2.5])('refuses the volume %f', async volume => {
    await start()
    const { body } = await volumeOf('Lobby', volume)
    expect(body.errors[0].extensions.code).toBe('BAD_USER_INPUT')
    expect(fake.zones.get(zone('Lobby'))?.volume).toBe(8)
  })

  it('answers Not found for zones without control rights', async () => {
    await start()
    for (const name of ['Spa', 'Gym', 'Cellar']) {
      expect((await volumeOf(name, 3)).body).toMatchObject({ data: { setVolume: null }, errors: [{ message: 'Not found' }] })
    }
  })
})

describe('rate limit', () => {
  const example = `{ account(id: "${account}") { locations(first: 10) { edges { node { name
    soundZones(first: 10) { edges { node { name device { name } } } } } } } } }`

  it('counts 211 tokens for the example of the provider, from the text alone', async () => {
    await start()
    const { cost, available } = await ask(example)
    expect([cost, available]).toEqual([211, 3_600 - 211])
  })

  it('counts pages from variables and through fragments, and tells it in queryInfo', async () => {
    await start()
    const query = `query ($n: Int) { queryInfo { complexity } account(id: "${account}") { soundZones(first: $n) { edges { node { ...zone } } } } }
      fragment zone on SoundZone { id playback { state } playFrom { ... on Playlist { name } } }`
    const { body, cost } = await ask(query, { n: 7 })
    expect(cost).toBe(1 + 1 + 7 + 7 + 7)
    expect(body.data.queryInfo.complexity).toBe(cost)
  })

  it('refills with time, up to the size of the bucket', async () => {
    await start({ refillPerSecond: 5 })
    fake.tokens = 0
    clock += 10_000
    expect(fake.tokens).toBe(50)
    clock += 10_000_000
    expect(fake.tokens).toBe(3_600)
  })

  it('answers HTTP 429 when the bucket is empty', async () => {
    await start()
    fake.tokens = 200
    const { status, cost, available } = await ask(example)
    expect([status, cost, available]).toEqual([429, 211, 200])
  })

  it('or HTTP 200 with errors that say the cost and what is available', async () => {
    await start({ limitedBy: 200 })
    fake.tokens = 200
    const { status, body } = await ask(example)
    expect(status).toBe(200)
    expect(body.errors[0].message).toMatch(/rate limited.*costs 211 tokens.*have 200 available/)
    expect(fake.tokens).toBe(200)
  })
})

describe('faults', () => {
  it('answers with a status, as often as asked', async () => {
    await start()
    fake.fault({ kind: 'status', status: 502, times: 1, operation: 'setVolume' })
    expect((await ask('{ me { __typename } }')).status).toBe(200)
    expect((await volumeOf('Lobby', 2)).status).toBe(502)
    expect(fake.zones.get(zone('Lobby'))?.volume).toBe(8)
    expect((await volumeOf('Lobby', 2)).status).toBe(200)
  })

  it('limits in both forms until healed', async () => {
    await start()
    fake.fault({ kind: 'rate_limited' })
    expect((await volumeOf('Lobby', 2)).status).toBe(429)
    fake.heal()
    fake.fault({ kind: 'rate_limited_200' })
    expect((await volumeOf('Lobby', 2)).body.errors[0].message).toContain('rate limited')
    fake.heal()
    expect((await volumeOf('Lobby', 2)).body.errors).toBeUndefined()
  })

  it('takes a command and does nothing', async () => {
    await start()
    fake.fault({ kind: 'no_effect', zone: zone('Lobby') })
    expect((await volumeOf('Lobby', 2)).body.data.setVolume.volume).toBe(2)
    expect(fake.zones.get(zone('Lobby'))?.volume).toBe(8)
  })

  it('does a command and drops the connection, cuts the answer off, or is late with it', async () => {
    await start()
    fake.fault({ kind: 'drop', times: 1 })
    await expect(volumeOf('Lobby', 2)).rejects.toThrow()
    expect(fake.zones.get(zone('Lobby'))?.volume).toBe(2)
    fake.fault({ kind: 'malformed', times: 1 })
    await expect(volumeOf('Lobby', 3)).rejects.toThrow(SyntaxError)
    expect(fake.zones.get(zone('Lobby'))?.volume).toBe(3)
    fake.fault({ kind: 'latency', ms: 60_000 })
    const late = volumeOf('Lobby', 4)
    await expect.poll(() => fake.zones.get(zone('Lobby'))?.volume).toBe(4)
    await fake.close()
    await expect(late).rejects.toThrow()
  })

  it('shows a zone on and off line by turns', async () => {
    await start()
    fake.fault({ kind: 'flapping', zone: zone('Lobby') })
    const online = async () => (await ask(`{ soundZone(id: "${zone('Lobby')}") { online } }`)).body.data.soundZone.online
    expect([await online(), await online(), await online()]).toEqual([false, true, false])
  })

  it('forbids one zone of a page, and the rest is good', async () => {
    await start()
    fake.fault({ kind: 'forbidden', zone: zone('Lobby') })
    const { body } = await ask(`{ account(id: "${account}") { soundZones(first: 2) { edges { node { name } } } } }`)
    expect(body.data.account.soundZones.edges).toEqual([{ node: null }, { node: { name: 'Pool' } }])
    expect(body.errors).toMatchObject([{ message: 'Forbidden', path: ['account', 'soundZones', 'edges', 0, 'node'] }])
  })
})
