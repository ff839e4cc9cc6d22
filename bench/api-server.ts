/** A process that serves the API on a database that is filled, or an empty route. It tells its address on standard output. */
import { parseArgs } from 'node:util'
import fastify from 'fastify'
import pino from 'pino'
import { startApi } from '../api/server.ts'
import { listenForChanges, tellPeopleChanged } from '../sinks/postgres/changes.ts'
import { erasedRows } from '../sinks/postgres/erasures.ts'
import { openPool } from '../sinks/postgres/pool.ts'
import { MemoryCache } from '../cache/cache.ts'
import { ReadThroughCache } from '../cache/read-through.ts'
import { openRedis, RedisCache } from '../cache/redis.ts'
import { allTopics } from '../topics/catalog.ts'
import { Codec } from '../topics/codec.ts'
import { openLocalLog } from '../topics/local/log.ts'

process.on('SIGINT', () => process.exit(0))
const { values } = parseArgs({
  options: { database: { type: 'string' }, redis: { type: 'string' }, token: { type: 'string' }, log: { type: 'string' } },
})
const logger = pino({ level: 'silent' })

if (values.database === undefined) {
  const app = fastify({ loggerInstance: logger })
  app.get('/', async () => ({ status: 'ok' }))
  process.stdout.write(`${await app.listen({ host: '127.0.0.1', port: 0 })}\n`)
} else {
  const log = await openLocalLog({ file: values.log ?? '', topics: allTopics() })
  const redis = values.redis === undefined ? null : openRedis(values.redis, { timeoutMs: 1_000, onError: () => {} })
  const many = 1e9
  const url = values.database
  const pool = openPool({ url, log: logger, max: 10, statementTimeoutMs: 5_000 })
  const api = await startApi({
    host: '127.0.0.1',
    port: 0,
    adminToken: values.token ?? '',
    channels: [],
    auditFolder: `${values.log}.audit`,
    tenantKey: 'x',
    log,
    codec: await Codec.open(log, allTopics()),
    pool,
    erased: erasedRows(pool),
    logger,
    dependencies: {},
    limits: { search: many, status: many, other: many },
    changes: {
      listen: listener => listenForChanges({ url, pool, log: logger }, listener),
      people: () => tellPeopleChanged(pool),
    },
    hot: new ReadThroughCache(redis === null ? new MemoryCache() : new RedisCache(redis)),
  })
  process.stdout.write(`${api.url}\n`)
}
