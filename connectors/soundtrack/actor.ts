/**
 * The Soundtrack connector. Under an account's key it polls the account for its venues: one attempt, that waits in the schedule of
 * all accounts and comes back when there is something to tell. Under a zone's key it does the commands for the zone and reads it
 * afterwards; under the key of no zone it has the account's poll hastened. Effects of a key run one at a time, in order.
 */
import { actor } from '../../engine/actor.ts'
import type { SoundtrackState } from '../../schemas/types.ts'
import { alerts, soundtrackInbox, syncLog, venueInbox, zoneKey } from '../../topics/catalog.ts'
import { accountRead, poll, pollEnded, watch } from './account.ts'
import type { SoundtrackSettings } from './polling.ts'
import { commandDone, commandEnded, zoneCommand, zoneRead, zoneReadEnded, readZoneNow } from './zone.ts'

const effects = {
  poll: { input: 'ReadZones', result: 'ZonesRead', retry: 'idempotent', timeoutMs: 20_000, waits: true },
  hasten: { input: 'PollSooner', result: 'ZonesRead', retry: 'idempotent', timeoutMs: 5_000 },
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
        const { account, zone } = record
        if (ctx.key === zoneKey(account, zone ?? '')) {
          if (zone !== null) return readZoneNow(state, { ...record, zone }, ctx)
          ctx.perform('hasten', record)
          return state
        }
        // Under the account's key it would wait for the account's poll, and not for the zone's commands.
        if (zone !== null || state !== null) ctx.emit(soundtrackInbox, zoneKey(account, zone ?? ''), 'PollSooner', record)
        return state
      },
      ZoneCommand: (state, record, ctx) => kept(zoneCommand(state, record, ctx)),
      ZonesRead: (state, record, ctx) => {
        if (state === null) return null
        return kept(record.zone === null ? accountRead(state, record, ctx, settings) : zoneRead(state, record, ctx))
      },
      CommandDone: (state, record, ctx) => (state === null ? null : kept(commandDone(state, record, ctx))),
    },
    timers: {
      /** Earlier code has read an account whenever this was due. */
      poll: (state, _timer, ctx) => kept(poll(state, ctx, settings)),
    },
    ended: (state, ended, ctx) => {
      if (ended.effect === 'hasten') return state
      if (ended.effect === 'control' || ended.effect === 'skip') return kept(commandEnded(state, ended, ctx))
      return kept(ended.attempt === state.reading ? pollEnded(state, ended, ctx, settings) : zoneReadEnded(state, ended, ctx))
    },
  })

/** A state that nothing is under way for is no state. */
function kept(state: SoundtrackState): SoundtrackState | null {
  const { venues, reading, commands, zoneReads } = state
  return venues.length + commands.length + zoneReads.length === 0 && reading === null ? null : state
}
