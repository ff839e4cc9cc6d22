/** Starts the processors: conversations, venues and tenants, with the index of venues that messages are understood by. */
import { SheetReadiness } from '../connectors/sheets/readiness.ts'
import type { LmdbStores } from '../engine/lmdb.ts'
import { startProjection } from '../engine/projection.ts'
import type { WorkerSettings } from '../engine/worker.ts'
import { understandLookup, understandPort } from '../processors/understanding/port.ts'
import { VenueIndex } from '../processors/understanding/venues.ts'
import { tenantLookup } from '../processors/tenant/tenants.ts'
import { syncLog, venueProfiles } from '../topics/catalog.ts'
import type { ServiceActor } from './actors.ts'
import type { ActorPorts, Parts } from './parts.ts'
import type { RunningTenants } from './tenants.ts'
import { createWorker } from './worker.ts'

/** @param hasSheet whether this installation is configured to read a venue sheet */
export async function startProcessors(
  parts: Parts,
  actors: readonly ServiceActor[],
  stores: LmdbStores,
  tenants: RunningTenants,
  hasSheet: boolean,
): Promise<void> {
  const { log, codec, closers, onError, dependencies } = parts
  const index = new VenueIndex()
  const venues = startProjection({
    log,
    codec,
    topic: venueProfiles,
    onError: error => onError('updating the venue index failed', error),
    apply: (key, decoded) => {
      if (decoded?.type === 'VenueProfile' && !decoded.value.removed) index.upsert(decoded.value)
      else index.remove(key)
    },
  })
  closers.push(() => venues.close())
  const sheet = new SheetReadiness()
  const runs = startProjection({
    log,
    codec,
    topic: syncLog,
    onError: error => onError('reading the sync log failed', error),
    apply: (_key, decoded) => {
      if (decoded?.type === 'SyncRun' && decoded.value.source.startsWith('sheets:')) sheet.ran(decoded.value)
    },
  })
  closers.push(() => runs.close())
  await Promise.all([venues.caughtUp, runs.caughtUp])
  dependencies.venues = () => sheet.status(index.size, hasSheet)

  const ports = { conversation: { understand: understandPort({ index }) } as unknown as ActorPorts }
  const decided = tenantLookup(tenants.tenants)
  const lookups = {
    conversation: { understand: understandLookup({ index }), tenant: decided },
    venue: { tenant: decided },
  } as unknown as WorkerSettings['lookups']
  const running = actors.filter(({ worker }) => worker === 'processors').map(({ actor }) => actor)
  const worker = createWorker(parts, stores, 'processors', running, ports, lookups)
  await worker.start()
  closers.push(() => worker.stop())
  await tenants.sayFirst()
}
