/**
 * Live updates as server-sent events. One reader per process follows the log; each connection has its own positions, sends them as the
 * id of its events, and resumes from there when it reconnects:
 *
 *   log ─▶ feed (newest of each partition) ─▶ connection: what its principal may see ─▶ client
 *     └────────── older records, read for a connection that lags behind ───────▲
 */
import type { KeyObject } from 'node:crypto'
import type pg from 'pg'
import type { Logger } from 'pino'
import { Type } from 'typebox'
import type { Codec } from '../../topics/codec.ts'
import type { Log } from '../../topics/log.ts'
import { SELF_READ } from '../access/self.ts'
import { Bookmarks } from '../live/bookmarks.ts'
import { Connection } from '../live/connection.ts'
import { Feed } from '../live/feed.ts'
import type { Api } from '../types.ts'

export const permissions = { SELF_READ }

interface Context {
  readonly log: Log
  readonly codec: Codec
  readonly pool: pg.Pool
  readonly logger: Pick<Logger, 'warn'>
  /** Signs the ids of events. */
  readonly bookmarks: KeyObject
}

export function routes(app: Api, { log, codec, pool, logger, bookmarks }: Context): void {
  const feed = new Feed(log, codec, logger)
  const connections = new Set<Connection>()
  app.addHook('preClose', async () => {
    for (const connection of connections) connection.end()
    await feed.close()
  })

  app.get(
    '/live',
    {
      exposeHeadRoute: false, // there is no body to wait for
      config: { permission: SELF_READ },
      schema: {
        summary: 'Changes of venues, conversations, alerts and issues, as server-sent events',
        produces: 'text/event-stream',
        headers: Type.Object({
          'last-event-id': Type.Optional(
            Type.String({
              maxLength: 20_000,
              description: 'Id of the last event received, to resume after it; if it is not valid, the event `resync` is sent',
            }),
          ),
        }),
      },
    },
    async (request, reply) => {
      await feed.start()
      const connection = new Connection(feed, pool, request, reply, new Bookmarks(feed, bookmarks, request.principal))
      connections.add(connection)
      void connection.run().finally(() => connections.delete(connection))
      return reply.hijack()
    },
  )
}
