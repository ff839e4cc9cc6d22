/** Soundtrack: the music of the venues. */
import { limitPause, sourceBreaker } from '../../settings/providers.ts'
import { defineConnector } from '../connector.ts'
import { healthOf } from '../outbound.ts'
import { soundtrackActor } from './actor.ts'
import { soundtrackClient } from './client.ts'
import { SOUNDTRACK_SETTINGS } from './polling.ts'
import { soundtrackPorts } from './ports.ts'
import { soundtrackSettings } from './settings.ts'

export const soundtrack = defineConnector({
  name: 'soundtrack',
  settings: soundtrackSettings,
  actor: timeScale => soundtrackActor({ ...SOUNDTRACK_SETTINGS, timeScale }),
  connect: (settings, { timeScale, providers }) => {
    const client = soundtrackClient({ ...settings, timeScale, breaker: sourceBreaker(providers), limit: limitPause(providers) })
    const ports = soundtrackPorts(client, { settings: { ...SOUNDTRACK_SETTINGS, timeScale } })
    return { ports, health: () => healthOf(client.outbound), close: () => client.close() }
  },
})
