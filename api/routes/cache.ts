/** The caches of look-ups. */
import { Type } from 'typebox'
import { permission } from '../access/principal.ts'
import type { ConversationCache } from '../conversation-cache.ts'
import type { ReadThrough } from '../../cache/read-through.ts'
import { Problem } from '../problem.ts'
import type { Api } from '../types.ts'

const FLUSH = permission('cache:flush', ['admin', 'ops'])
export const permissions = { FLUSH }

const Flushed = Type.Unsafe<undefined>({ type: 'null', description: 'Flushed; the caches fill again by reads' })

interface Context {
  readonly hot?: ReadThrough | null
  readonly conversations: ConversationCache
}

export function routes(app: Api, { hot = null, conversations }: Context): void {
  app.post(
    '/cache/flush',
    {
      config: { permission: FLUSH, installationWide: true, limit: 'sync', action: 'cache.flush' },
      schema: { summary: 'Flush the caches', response: { 204: Flushed } },
    },
    async ({ audited }, reply) => {
      audited.after = 'flushed'
      conversations.flush()
      await hot?.flush().catch(cause => {
        throw new Problem('unavailable', 'the cache is unreachable: try again', { cause })
      })
      return reply.code(204).send(undefined)
    },
  )
}
