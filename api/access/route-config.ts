/** What a route declares about access, and what a request knows once it is authenticated. */
import type { LimitName } from './limits.ts'
import type { Permission, Principal } from './principal.ts'

/** What the audit trail says a request is about; set by the route. */
export interface Audited {
  object?: string | null
  command?: string | null
  before?: string | null
  after?: string | null
  /** Whether the outcome is in the trail already. */
  recorded?: boolean
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Required of every route under /api and /clickhouse that is not public; the server refuses to start without. */
    permission?: Permission
    /** Requires a scope over the whole installation. */
    installationWide?: true
    /** Needs no token. */
    public?: true
    /** Shows or changes personal data: then reads are audited too. */
    personal?: boolean
    /** Audited whatever its method is. */
    audited?: true
    /** Name of the operation in the audit trail, such as `conversations.reply`; by default made from method and path. */
    action?: string
    /** Whether it is refused while the audit trail cannot be written; by default decided by the method. */
    write?: boolean
    /** The rate limit that it counts towards, `other` by default. */
    limit?: LimitName | ((request: FastifyRequest) => LimitName)
  }
  interface FastifyRequest {
    /** Set for every authenticated request; null otherwise. */
    principal: Principal
    audited: Audited
  }
}
