/**
 * The invented world: 200 venues with 500 zones, chains that share an account among them, and zones in every state that a real
 * one can be in. The same every time.
 */
import { type AccountPlan, type World, world, type ZoneKind, type ZonePlan } from '../connectors/soundtrack/fake-world.ts'

export interface DemoVenue {
  readonly id: number
  readonly name: string
  readonly location: string
  readonly contact: string
  readonly position: string
  readonly phone: string
  readonly aliases: readonly string[]
  readonly priority: string
  readonly account: string
  /** Only where several venues share the account. */
  readonly soundtrackLocation: string | null
  readonly zones: readonly { readonly id: string; readonly name: string; readonly kind: ZoneKind }[]
}

export interface DemoWorld {
  readonly venues: readonly DemoVenue[]
  readonly soundtrack: World
}

const CHAINS: readonly (readonly [name: string, thai: string])[] = [
  ['Blue Lagoon', 'บลูลากูน'],
  ['Lotus Bay', 'โลตัสเบย์'],
  ['Siam Terrace', 'สยามเทอเรส'],
  ['Golden Heron', 'โกลเด้นเฮรอน'],
  ['Coral Court', 'คอรัลคอร์ท'],
  ['Teak House', 'ทีคเฮาส์'],
  ['Moonrise', 'มูนไรส์'],
]
const CITIES: readonly (readonly [city: string, thai: string, street: string])[] = [
  ['Pattaya', 'พัทยา', 'Beach Road'],
  ['Phuket', 'ภูเก็ต', 'Patong'],
  ['Hua Hin', 'หัวหิน', 'Naresdamri Road'],
  ['Bangkok', 'กรุงเทพ', 'Sukhumvit Road'],
  ['Chiang Mai', 'เชียงใหม่', 'Nimman Road'],
  ['Krabi', 'กระบี่', 'Ao Nang'],
  ['Koh Samui', 'เกาะสมุย', 'Chaweng'],
  ['Rayong', 'ระยอง', 'Mae Phim'],
  ['Singapore', 'สิงคโปร์', 'Duxton Hill'],
  ['Penang', 'ปีนัง', 'Gurney Drive'],
]
const FIRST = [
  'Amber',
  'Bamboo',
  'Cinnamon',
  'Dragonfly',
  'Ebony',
  'Fern',
  'Ginger',
  'Hibiscus',
  'Indigo',
  'Jasmine',
  'Kaffir',
  'Lantern',
  'Mango',
]
const SECOND = [
  ['Kitchen', 'Restaurant'],
  ['Garden', 'Restaurant'],
  ['Lane', 'Restaurant'],
  ['Room', 'Bar'],
  ['Yard', 'Bar'],
  ['Corner', 'Café'],
  ['Street', 'Café'],
  ['House', 'Shop'],
  ['Market', 'Shop'],
  ['Table', 'Restaurant'],
] as const
const PEOPLE = [
  'Somchai Jaidee',
  'Malee Suksan',
  'Nok Chaiyo',
  'Anong Rakthai',
  'Preecha Wongdee',
  'Suda Meechai',
  'Kamon Srisuk',
  'Lek Boonma',
]
const POSITIONS = ['Duty Manager', 'Front Desk', 'F&B Manager', 'Bar Manager', 'Owner', 'Engineer']
const HOTEL_ZONES = ['Lobby', 'Pool', 'Edge', 'Spa']
const SMALL_ZONES: Readonly<Record<string, readonly string[]>> = {
  Restaurant: ['Dining Room', 'Terrace'],
  Bar: ['Bar', 'Rooftop'],
  Café: ['Café', 'Garden'],
  Shop: ['Shop Floor', 'Fitting Rooms'],
}
const PLAYLISTS = ['House Blend', 'Sunset Lounge', 'Morning Jazz', 'Chillhop', 'Thai Indie', 'Soft Soul']

/** The states of the zones: most are well, and the first venues all are, for they are the ones to try. */
function kindOf(zone: number): ZoneKind {
  if (zone < 12) return 'normal'
  if (zone % 23 === 0) return 'offline'
  if (zone % 31 === 0) return 'trial'
  if (zone % 41 === 0) return 'unpaired'
  if (zone % 43 === 0) return 'expired'
  if (zone % 47 === 0) return 'muted'
  if (zone % 53 === 0) return 'no_device'
  return 'normal'
}

export function demoWorld(): DemoWorld {
  let zones = 0
  const plan = (name: string): ZonePlan => {
    const n = zones++
    return { name, kind: kindOf(n), volume: 6 + (n % 6), playlist: PLAYLISTS[n % PLAYLISTS.length] as string }
  }
  const chains: AccountPlan[] = CHAINS.map(([name]) => ({
    name,
    locations: CITIES.map(([city]) => ({ name: city, zones: HOTEL_ZONES.map(plan) })),
  }))
  const singles = FIRST.flatMap(first => SECOND.map(([second, type]) => ({ name: `${first} ${second}`, type })))
  const single: AccountPlan[] = singles.map(({ name, type }, n) => {
    const names = SMALL_ZONES[type] as readonly string[]
    // 90 of the 130 have two zones, 40 one: with the hotels' 280 that makes 500.
    return { name, locations: [{ name: 'Main', zones: names.slice(0, n % 13 < 9 ? 2 : 1).map(plan) }] }
  })
  const soundtrack = world([...chains, ...single])

  const venues: DemoVenue[] = []
  const add = (venue: Pick<DemoVenue, 'name' | 'location' | 'aliases'>, account: number, location: number, shared: boolean) => {
    const { id, locations } = soundtrack.accounts[account] as World['accounts'][number]
    const at = locations[location] as (typeof locations)[number]
    const number = venues.length + 1
    venues.push({
      ...venue,
      id: number,
      contact: PEOPLE[(number - 1) % PEOPLE.length] as string,
      position: POSITIONS[(number - 1) % POSITIONS.length] as string,
      phone: `66800${String(number).padStart(6, '0')}`,
      priority: number % 17 === 0 ? 'critical' : number % 5 === 0 ? 'high' : 'normal',
      account: id,
      soundtrackLocation: shared ? at.id : null,
      zones: at.zones,
    })
  }
  for (const [c, [name, thai]] of CHAINS.entries()) {
    for (const [l, [city, thaiCity, street]] of CITIES.entries()) {
      add({ name: `${name} ${city}`, location: street, aliases: [`${thai} ${thaiCity}`] }, c, l, true)
    }
  }
  for (const [n, { name, type }] of singles.entries()) {
    const [city, , street] = CITIES[n % CITIES.length] as (typeof CITIES)[number]
    add({ name: `${name} ${type}`, location: `${street}, ${city}`, aliases: [] }, CHAINS.length + n, 0, false)
  }
  return { venues, soundtrack }
}

const COLUMNS = [
  'venue_id',
  'venue_name',
  'location',
  'contact_name',
  'contact_position',
  'contact_phone',
  'soundtrack_account_id',
  'soundtrack_location_id',
  'zone_count',
  'subscription_status',
  'priority_level',
  'sla_tier',
  'aliases',
]

/** The venue sheet of this world. */
export function venuesCsv({ venues }: DemoWorld): string {
  const rows = venues.map(v => [
    v.id,
    v.name,
    v.location,
    v.contact,
    v.position,
    `+${v.phone}`,
    v.account,
    v.soundtrackLocation ?? '',
    v.zones.length,
    'active',
    v.priority,
    v.priority === 'normal' ? 'standard' : 'premium',
    v.aliases.join('|'),
  ])
  const cell = (value: string | number) =>
    /[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value)
  return [COLUMNS, ...rows].map(row => `${row.map(cell).join(',')}\n`).join('')
}

/** Those whose phones the page lets one hold. */
export function personas({ venues }: DemoWorld) {
  const [first, second] = venues as readonly [DemoVenue, DemoVenue]
  return [
    { id: 'contact', name: first.contact, from: first.phone, about: `on file at ${first.name}`, venue: first },
    { id: 'thai', name: second.contact, from: second.phone, about: `on file at ${second.name}, writes Thai`, venue: second },
    { id: 'stranger', name: 'Alex', from: '66800900001', about: 'a stranger', venue: first },
  ] as const
}
