/**
 * The Soundtrack connector. Under an account's key it polls the account for its venues; under a zone's key it does the
 * commands for the zone and reads it afterwards. Effects of a key run one at a time, in order.
 */
import { actor } from '../../engine/actor.ts'
import type { SoundtrackState } from '../../schemas/types.ts'
import { alerts, soundtrackInbox, syncLog, venueInbox, zoneKey } from '../../topics/catalog.ts'
import { accountRead, attend, pollSooner, read, readEnded, watch } from './account.ts'
import type { SoundtrackSettings } from './settings.ts'
import { commandDone, commandEnded, zoneCommand, zoneRead, zoneReadEnded, zoneSooner } from './zone.ts'

const effects = {
  read: { input: 'ReadZones', result: 'ZonesRead', retry: 'idempotent', timeoutMs: 20_000 },
  /** Play, pause, set the volume: done twice is done once. */
  control: { input: 'ZoneCommand', result: 'CommandDone', retry: 'idempotent', timeoutMs: 20_000 },
  /** Done twice, it skips two tracks. */
  skip: { input: 'ZoneCommand', result: 'CommandDone', retry: 'never', timeoutMs: 20_000 },
} as const
const emits = [venueInbox, soundtrackInbox, alerts, syncLog]

export type Effects = typeof effects
export type Emits = (typeof emits)[number]

export const soundtrackActor = (settings: SoundtrackSettings) =>
  actor({
    name: 'soundtrack',
    inbox: soundtrackInbox,
    state: 'SoundtrackState',
    emits,
    effects,
    on: {
      WatchVenue: (state, record, ctx) => kept(watch(state, record, ctx, settings)),
      PollSooner: (state, record, ctx) => {
        const { account, zone, reason } = record
        if (zone === null) return state === null ? null : pollSooner(state, record, ctx, settings)
        if (ctx.key === zoneKey(account, zone)) return zoneSooner(state, { ...record, zone }, ctx)
        // Under the account's key it would wait for the account's reads, and not for the zone's commands.
        ctx.emit(soundtrackInbox, zoneKey(account, zone), 'PollSooner', record)
        return state === null ? null : attend(state, reason, ctx, settings)
      },
      ZoneCommand: (state, record, ctx) => kept(zoneCommand(state, record, ctx)),
      ZonesRead: (state, record, ctx) => {
        if (state === null) return null
        return kept(record.zone === null ? accountRead(state, record, ctx, settings) : zoneRead(state, record, ctx))
      },
      CommandDone: (state, record, ctx) => (state === null ? null : kept(commandDone(state, record, ctx))),
    },
    timers: {
      poll: (state, _timer, ctx) => read({ ...state, pollAt: 0 }, ctx, settings),
    },
    ended: (state, ended, ctx) => {
      if (ended.effect !== 'read') return kept(commandEnded(state, ended, ctx))
      return kept(ended.attempt === state.reading ? readEnded(state, ended, ctx, settings) : zoneReadEnded(state, ended, ctx))
    },
  })

/** A state that nothing is under way for is no state. */
function kept(state: SoundtrackState): SoundtrackState | null {
  const { venues, reading, commands, zoneReads } = state
  return venues.length + commands.length + zoneReads.length === 0 && reading === null ? null : state
}
