/** Starts the connectors that are configured: channels in one worker, sources in another. */
import { randomBytes } from 'node:crypto'
import type { Config } from '../config.ts'
import { sheetFilePort } from '../connectors/sheets/file.ts'
import { watchSheet } from '../connectors/sheets/watch.ts'
import { soundtrackClient } from '../connectors/soundtrack/client.ts'
import { soundtrackPorts } from '../connectors/soundtrack/ports.ts'
import { SOUNDTRACK_SETTINGS } from '../connectors/soundtrack/settings.ts'
import { whatsappPorts } from '../connectors/whatsapp/ports.ts'
import { RECORD_ID } from '../engine/headers.ts'
import type { LmdbStores } from '../engine/lmdb.ts'
import { sheetsInbox } from '../topics/catalog.ts'
import type { Actors } from './actors.ts'
import type { Actor, ActorPorts, Parts } from './parts.ts'
import { createWorker } from './worker.ts'

export type Outside = Pick<
  Config,
  'whatsapp' | 'soundtrack' | 'venuesCsv' | 'sheetDateOrder' | 'sheetAccept' | 'timeScale' | 'providers'
> & {
  /** Whose the sheet is, where its path does not say it. */
  readonly sheetSource?: string
}

/** Key of the one sheet there is. */
const SHEET = 'main'

export async function startConnectors(parts: Parts, actors: Actors, stores: LmdbStores, outside: Outside): Promise<void> {
  const { log, codec, closers } = parts
  const { timeScale, venuesCsv, sheetDateOrder: dateOrder, sheetAccept: accept, sheetSource: source, providers } = outside
  const limit = { firstMs: providers.limitMs, mostMs: providers.limitMostMs }
  const opening = { probeMs: providers.breakerProbeMs, mostMs: providers.breakerMostMs }
  const connected: { worker: 'channels' | 'sources'; actor: Actor; ports: ActorPorts }[] = []
  const connect = (worker: 'channels' | 'sources', actor: unknown, ports: unknown) =>
    connected.push({ worker, actor: actor as Actor, ports: ports as ActorPorts })
  if (outside.whatsapp !== null) {
    const breaker = { ...opening, rate: { share: providers.channelShare, calls: providers.channelCalls } }
    const { ports, close } = whatsappPorts({ ...outside.whatsapp, timeScale, breaker, limit })
    connect('channels', actors.whatsapp, ports)
    closers.push(close)
  }
  if (outside.soundtrack !== null) {
    const breaker = { ...opening, failures: providers.breakerFailures }
    const client = soundtrackClient({ ...outside.soundtrack, timeScale, breaker, limit })
    connect('sources', actors.soundtrack, soundtrackPorts(client, { settings: { ...SOUNDTRACK_SETTINGS, timeScale } }))
    closers.push(() => client.close())
  }
  if (venuesCsv !== null)
    connect('sources', actors.sheets, { read: sheetFilePort({ file: venuesCsv, dateOrder, accept, ...(source && { source }) }) })
  for (const [name, of] of Map.groupBy(connected, c => c.worker)) {
    const ports = Object.fromEntries(of.map(({ actor, ports }) => [actor.name, ports]))
    const connecting = of.map(c => c.actor)
    const worker = createWorker(parts, stores, name, connecting, ports)
    await worker.start()
    closers.push(() => worker.stop())
  }
  if (venuesCsv === null) return
  const readNow = async (reason: string) => {
    const value = codec.encode(sheetsInbox.name, 'SyncNow', { reason })
    await log.append([{ topic: sheetsInbox.name, key: SHEET, value, headers: { [RECORD_ID]: randomBytes(12).toString('hex') } }])
  }
  const watch = watchSheet({ file: venuesCsv, changed: () => readNow('changed') })
  closers.push(() => watch.close())
  await readNow('start')
}
