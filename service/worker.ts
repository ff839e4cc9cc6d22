/** A worker of the engine, as this service runs it: named by its group, with its health among the dependencies. */
import { join } from 'node:path'
import { WorkerHealth } from '../api/workers.ts'
import type { LmdbStores } from '../engine/lmdb.ts'
import { Worker, type WorkerSettings } from '../engine/worker.ts'
import { GROUPS, groupOf, type WorkerName } from './actors.ts'
import { codeVersion } from './code-version.ts'
import type { Actor, Parts } from './parts.ts'
import { loadOrCreate } from './secrets.ts'

export function createWorker(
  parts: Parts,
  stores: LmdbStores,
  name: WorkerName,
  actors: readonly Actor[],
  ports: WorkerSettings['ports'],
  lookups: WorkerSettings['lookups'] = {},
) {
  const { log, codec, cache, onError, closers } = parts
  const worker = new Worker({
    log,
    codec,
    actors,
    ports,
    lookups,
    group: groupOf(name),
    instance: instanceOf(parts, GROUPS[name]),
    codeVersion: codeVersion(),
    openStore: async (actor, partition) => stores.store(actor, partition),
    stores,
    cache,
    onError,
    onLost: parts.onLost,
  })
  const health = new WorkerHealth(() => worker.status())
  closers.push(() => health.close())
  parts.workers[name] = () => worker.status()
  parts.dependencies[name] = () => health.check()
  return worker
}

/** A name of this process that stays over restarts. */
export function instanceOf({ settings: { kafka, dataDir } }: Parts, name: string): string {
  return kafka === null ? name : `${name}.${loadOrCreate(join(dataDir, 'instance.id'), 9)}`
}
