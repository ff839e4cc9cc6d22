import { setTimeout as sleep } from 'node:timers/promises'
import { type Static, Type } from 'typebox'
import { messageOf } from '../engine/errors.ts'
import type { IsInsider } from './insiders.ts'
import { oneOf } from './schemas.ts'
import type { Api } from './types.ts'

/** `degraded` is worth a look; only `down` makes the service not ready. */
const Dependency = Type.Object({ status: oneOf('up', 'degraded', 'down'), detail: Type.String() })
export type DependencyStatus = Static<typeof Dependency>
export type Dependencies = Readonly<Record<string, () => DependencyStatus | Promise<DependencyStatus>>>

const CHECK_MS = 2_000

const Readiness = Type.Object({
  status: oneOf('ready', 'not_ready'),
  dependencies: Type.Record(Type.String(), Dependency),
})

interface Context {
  readonly dependencies: Dependencies
  /** Who is told what is wrong; all are told whether something is. */
  readonly isInsider: IsInsider
}

export function healthRoutes(app: Api, { dependencies, isInsider }: Context): void {
  app.get(
    '/healthz',
    {
      schema: {
        summary: 'Alive; depends on nothing',
        response: { 200: Type.Object({ status: oneOf('alive') }) },
      },
    },
    async () => ({ status: 'alive' as const }),
  )

  app.get(
    '/readyz',
    {
      schema: {
        summary: 'Ready to take work, with each dependency',
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (request, reply) => {
      const told = await isInsider(request).catch(() => false) // whether it is ready hangs on no token
      const checked = await Promise.all(
        Object.entries(dependencies).map(async ([name, check]) => [name, await outcome(check)] as const),
      )
      const shown = checked.map(([name, { status, detail }]) => [name, { status, detail: told ? detail : '' }])
      const ready = checked.every(([, { status }]) => status !== 'down')
      return reply
        .code(ready ? 200 : 503)
        .send({ status: ready ? 'ready' : 'not_ready', dependencies: Object.fromEntries(shown) })
    },
  )
}

/** A check that fails, or takes too long, is down. */
async function outcome(check: Dependencies[string]): Promise<DependencyStatus> {
  const timer = new AbortController()
  const late = sleep(CHECK_MS, { status: 'down' as const, detail: `no answer within ${CHECK_MS} ms` }, timer).catch(
    () => ({ status: 'down' as const, detail: '' }), // the check was faster
  )
  try {
    return await Promise.race([check(), late])
  } catch (error) {
    return { status: 'down', detail: messageOf(error) }
  } finally {
    timer.abort()
  }
}
