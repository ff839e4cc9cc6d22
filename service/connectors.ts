/** Starts the connectors that are configured: channels in one worker, sources in another. */
import type { Config } from '../config.ts'
import type { ConfiguredConnector } from '../connectors/connector.ts'
import type { LmdbStores } from '../engine/lmdb.ts'
import { actorNamed, type ServiceActor } from './actors.ts'
import type { Parts } from './parts.ts'
import { createWorker } from './worker.ts'

export async function startConnectors(
  parts: Parts,
  actors: readonly ServiceActor[],
  stores: LmdbStores,
  configured: readonly ConfiguredConnector[],
  countryCode: () => string,
): Promise<void> {
  const { log, codec, closers, dependencies, settings } = parts
  const { timeScale, providers }: Config = settings
  const connected = configured.map(({ name, connector: { worker }, connect }) => {
    const connection = connect({ log, codec, timeScale, providers, countryCode })
    const { health, close } = connection
    if (close !== undefined) closers.push(() => close())
    if (health !== undefined) dependencies[name] = () => health()
    return { worker, connection, actor: actorNamed(actors, name) }
  })
  for (const [worker, of] of Map.groupBy(connected, c => c.worker)) {
    const ports = Object.fromEntries(of.map(({ actor, connection }) => [actor.name, connection.ports]))
    const running = createWorker(
      parts,
      stores,
      worker,
      of.map(c => c.actor),
      ports,
    )
    await running.start()
    closers.push(() => running.stop())
  }
  for (const { connection } of connected) {
    closers.push(() => connection.stopping?.())
    await connection.started?.()
  }
}
