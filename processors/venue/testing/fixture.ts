/** A venue under test: Blue Lagoon with its zones, and shorthand for records to it and from it. */
import { type KitStep, testkit } from '../../../engine/testing/testkit.ts'
import type {
  SheetRowInput,
  ZoneReadingInput,
  ZoneRequestInput,
  ZoneResultInput,
  ZoneSnapshotInput,
} from '../../../schemas/types.ts'
import { Tenants, tenantLookup } from '../../tenant/tenants.ts'
import { venueActor } from '../actor.ts'
import { VENUE_DEFAULTS, type VenueSettings } from '../settings.ts'

export const NOW = 1_750_000_000_000
export const SECOND = 1000
export const MINUTE = 60 * SECOND

const ROW: SheetRowInput = { venue: 'main:v1', sheet: 'venues', name: 'Blue Lagoon', soundtrackAccount: 'acc', readAt: NOW }

/** A zone as Soundtrack shows it while all is well. */
export const playing = (zone: string, more: Partial<ZoneReadingInput> = {}): ZoneReadingInput => ({
  zone,
  name: `Zone ${zone}`,
  paired: true,
  online: true,
  subscription: 'ACTIVE',
  statusCode: 'ALL_OK',
  playback: 'playing',
  volume: 8,
  track: 'Slow Tide',
  artist: 'The Sandbars',
  trackStartedAt: NOW - MINUTE,
  ...more,
})

export const offline = (zone: string, more: Partial<ZoneReadingInput> = {}): ZoneReadingInput =>
  playing(zone, { online: false, statusCode: 'PLAYER_DISCONNECTED', playback: 'offline', volume: null, track: null, ...more })

/** A venue that is in the sheet, with these readings of its zones. */
export function venue(
  readings: ZoneReadingInput[] = [],
  settings: Partial<VenueSettings> = {},
  row: Partial<SheetRowInput> = {},
  tenants = new Tenants(),
) {
  const kit = testkit(venueActor({ ...VENUE_DEFAULTS, ...settings }), {
    key: 'main:v1',
    now: NOW,
    lookups: { tenant: tenantLookup(tenants) as never },
  })
  let asked = 0
  const scene = {
    kit,
    row: (more: Partial<SheetRowInput> = {}) => kit.handle('SheetRow', { ...ROW, ...row, readAt: kit.now + 1, ...more }),
    /** A reading of all zones, taken when it arrives. */
    read: (zones: ZoneReadingInput[], more: Partial<ZoneSnapshotInput> = {}) =>
      kit.handle('ZoneSnapshot', { account: 'acc', zones, complete: true, asOf: kit.now + 1, ...more }),
    /** A reading of one zone alone. */
    readOne: (zone: ZoneReadingInput) => scene.read([zone], { complete: false }),
    unread: (error: string) => scene.read([], { error, complete: false }),
    ask: (kind: ZoneRequestInput['kind'], zones: string[] = [], more: Partial<ZoneRequestInput> = {}) => {
      asked += 1
      const request = { id: `r${asked}`, conversation: 'main:c1', kind, zones, trust: 'HINTED', requestedAt: kit.now } as const
      return kit.handle('ZoneRequest', { ...request, ...more })
    },
    result: (command: string, outcome: ZoneResultInput['outcome'], more: Partial<ZoneResultInput> = {}) =>
      kit.handle('ZoneResult', { command, zone: 'z1', outcome, at: kit.now + 1, ...more }),
    /** Fires due timers, at most `most`, until one leads to a matching answer. */
    fireUntil: (found: (answer: ReturnType<typeof answers>[number]) => boolean, most = 40) => {
      for (let n = 0; n < most; n++) {
        const answer = answers(kit.fire()).find(found)
        if (answer !== undefined) return answer
      }
      throw new Error(`no such answer after ${most} timers`)
    },
    zone: (id: string) => kit.state?.zones.find(zone => zone.zone === id),
  }
  scene.row()
  if (readings.length > 0) scene.read(readings)
  return scene
}

export const of = (step: KitStep, type: string) => step.emits.filter(emit => emit.type === type).map(emit => emit.record)
export const answers = (step: KitStep) => of(step, 'VenueAnswer')
export const commands = (step: KitStep) => of(step, 'ZoneCommand')
export const polls = (step: KitStep) => of(step, 'PollSooner')
export const alertsOf = (step: KitStep) => of(step, 'Alert')
export const events = (step: KitStep, kind?: string) => of(step, 'VenueEvent').filter(e => kind === undefined || e.kind === kind)
export const profile = (step: KitStep) => of(step, 'VenueProfile')[0]
