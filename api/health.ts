import { type Static, Type } from 'typebox'
import { messageOf } from '../engine/errors.ts'
import { withTimeout } from '../domain/timeout.ts'
import type { IsInsider } from './insiders.ts'
import { oneOf } from './schemas.ts'
import type { Api } from './types.ts'

/** Only `down` makes the service not ready. */
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
  /** Insiders see the details, others only each status. */
  readonly isInsider: IsInsider
}

export function healthRoutes(app: Api, { dependencies, isInsider }: Context): void {
  app.get(
    '/healthz',
    {
      schema: {
        summary: 'Liveness: depends on nothing',
        response: { 200: Type.Object({ status: oneOf('alive') }) },
      },
    },
    async () => ({ status: 'alive' as const }),
  )

  app.get(
    '/readyz',
    {
      schema: {
        summary: 'Readiness, with each dependency',
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (request, reply) => {
      const showDetails = await isInsider(request).catch(() => false) // readiness must not depend on a token
      const checked = await Promise.all(
        Object.entries(dependencies).map(async ([name, check]) => [name, await outcome(check)] as const),
      )
      const shown = checked.map(([name, { status, detail }]) => [name, { status, detail: showDetails ? detail : '' }])
      const ready = checked.every(([, { status }]) => status !== 'down')
      return reply
        .code(ready ? 200 : 503)
        .send({ status: ready ? 'ready' : 'not_ready', dependencies: Object.fromEntries(shown) })
    },
  )
}

/** A check that fails or times out is down. */
async function outcome(check: Dependencies[string]): Promise<DependencyStatus> {
  try {
    return await withTimeout(Promise.resolve(check()), CHECK_MS)
  } catch (error) {
    return { status: 'down', detail: messageOf(error) }
  }
}
