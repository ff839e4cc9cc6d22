/** Security headers, and the origins whose pages may call the API. */
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { isProtected } from './authentication.ts'

/** Pages load files of this origin only: no inline script or style, no frames, no plugins. */
const HELMET = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'self'"],
      imgSrc: ["'self'", 'data:'],
      objectSrc: ["'none'"],
      baseUri: ["'none'"],
      formAction: ["'self'"],
      frameAncestors: ["'none'"],
    },
  },
  xFrameOptions: { action: 'deny' as const },
  strictTransportSecurity: { maxAge: 365 * 24 * 60 * 60 },
}
const TLS_ONLY = 'strict-transport-security'

/** The subset that API responses need (OWASP REST Security Cheat Sheet, "Security headers"). */
const FOR_PROGRAMS = ['content-security-policy', 'x-content-type-options', 'x-frame-options']

/** Sets the headers on every response. @returns the function that does, for responses that bypass the hooks */
export async function secureHeaders(app: FastifyInstance): Promise<(request: FastifyRequest, reply: FastifyReply) => void> {
  helmetHeaders ??= readHelmetHeaders()
  const { [TLS_ONLY]: hsts, ...pages } = await helmetHeaders
  const programs = Object.fromEntries(FOR_PROGRAMS.map(name => [name, pages[name]]))
  const secure = (request: FastifyRequest, reply: FastifyReply) => {
    reply.headers(isProtected(request.url) ? programs : pages)
    if (request.protocol === 'https') reply.header(TLS_ONLY, hsts)
  }
  app.addHook('onRequest', (request, reply, done) => {
    secure(request, reply)
    done()
  })
  return secure
}

let helmetHeaders: Promise<Record<string, string>> | undefined

/** Helmet runs once: its headers never change, and running it per request costs more than the rest of a short request. */
async function readHelmetHeaders(): Promise<Record<string, string>> {
  const probe = fastify()
  await probe.register(helmet, HELMET)
  probe.get('/', async (_, reply) => reply.code(204).send())
  const { headers } = await probe.inject('/')
  await probe.close()
  const own = Object.entries(headers).filter(([name]) => !['date', 'connection', 'content-length'].includes(name))
  return Object.fromEntries(own.map(([name, value]) => [name, String(value)]))
}

const CLICKHOUSE = ['exception-code', 'format', 'query-id', 'summary', 'timezone'].map(name => `x-clickhouse-${name}`)
const READABLE = [
  'x-request-id',
  'etag',
  'retry-after',
  'ratelimit-limit',
  'ratelimit-remaining',
  'ratelimit-reset',
  ...CLICKHOUSE,
]

/** Allows these origins only. Tokens are sent in a header, so the browser's credentials are not needed. */
export async function allowOrigins(scope: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return
  await scope.register(cors, {
    origin: (origin, allow) => allow(null, origin !== undefined && origins.includes(origin) ? origin : false),
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: READABLE,
    maxAge: 600,
  })
}
