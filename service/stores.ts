/** Opens what the settings name: the log with its registry of schemas, the serving store, the analytical one. */
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { type EmbeddedClickHouse, startEmbeddedClickHouse } from '../sinks/clickhouse/embedded.ts'
import { startEmbeddedPostgres } from '../sinks/postgres/embedded.ts'
import { migrate } from '../sinks/postgres/migrate.ts'
import { openPool } from '../sinks/postgres/pool.ts'
import { partitionsOnCluster, type Topic } from '../topics/catalog.ts'
import type { SchemaRegistry } from '../topics/codec.ts'
import { openKafkaLog } from '../topics/kafka/log.ts'
import { ConfluentRegistry } from '../topics/kafka/registry.ts'
import { openLocalLog } from '../topics/local/log.ts'
import type { Log } from '../topics/log.ts'

export interface LogListener {
  readonly onError: (what: string, error: unknown) => void
  /** Called when a log has closed itself, for it cannot be trusted with more: only another process can open it again. */
  readonly onClosed?: (error: Error) => void
}

export async function openLog(
  { kafka, dataDir }: Config,
  topics: readonly Topic[],
  logger: Logger,
  { onError, onClosed = () => {} }: LogListener,
): Promise<{ log: Log; registry: SchemaRegistry }> {
  if (kafka === null) {
    const file = join(dataDir, 'log.sqlite')
    const log = await openLocalLog({ file, topics, onError: error => onError('log', error), onClosed })
    return { log, registry: log }
  }
  const { brokers, prefix, tls, sasl, registryUrl, replicationFactor, partitions, compression, sessionTimeoutMs } = kafka
  const log = await openKafkaLog({
    kafka: {
      brokers,
      prefix,
      ssl: typeof tls === 'boolean' ? tls : { ca: [tls.ca] },
      ...(sasl === null ? {} : { sasl }),
    },
    topics,
    partitions: topic => partitionsOnCluster(topic, partitions),
    replicationFactor,
    compression,
    sessionTimeout: sessionTimeoutMs,
    folder: join(dataDir, 'members'),
    onError,
  })
  for (const difference of log.differences) logger.warn(difference, 'a topic of the cluster differs from the catalog')
  return { log, registry: new ConfluentRegistry(registryUrl) }
}

/** The serving store, migrated: the one that is named, or an embedded one. */
export async function openPostgres(
  { databaseUrl, dataDir }: Config,
  logger: Logger,
): Promise<{ url: string; close(): Promise<void> }> {
  const embedded = databaseUrl === null ? await startEmbeddedPostgres({ dataDir, log: logger }) : null
  const url = databaseUrl ?? (embedded?.url as string)
  const close = async () => embedded?.stop()
  const pool = openPool({ url, log: logger, name: 'migrate' })
  try {
    await migrate(pool)
    return { url, close }
  } catch (error) {
    await close()
    throw error
  } finally {
    await pool.end()
  }
}

/** ClickHouse: the one that is named, or an embedded one. @throws when there is none for this platform, or it does not start. */
export async function openClickHouse(
  { clickhouseUrl, dataDir }: Config,
  log: Logger,
): Promise<Pick<EmbeddedClickHouse, 'url' | 'status' | 'stop'>> {
  if (clickhouseUrl === null) return startEmbeddedClickHouse({ dataDir, log })
  return { url: clickhouseUrl, status: () => ({ status: 'up', detail: '' }), stop: async () => {} }
}
