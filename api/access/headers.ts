/** Headers that keep browsers from doing what nobody asked for, and which other origins may ask. */
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { isProtected } from './authentication.ts'

/** Pages here are files of this origin: no inline script or style, no frames, no plugins. */
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

/** Of those, what answers need that are no pages (OWASP REST Security Cheat Sheet, "Security headers"). */
const FOR_PROGRAMS = ['content-security-policy', 'x-content-type-options', 'x-frame-options']

/** Sets the headers on every answer. @returns what does so, for answers that no hook comes before */
export async function secureHeaders(app: FastifyInstance): Promise<(request: FastifyRequest, reply: FastifyReply) => void> {
  asked ??= askHelmet()
  const { [TLS_ONLY]: hsts, ...pages } = await asked
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

let asked: Promise<Record<string, string>> | undefined

/** Helmet is asked once: it always says the same, and asking it at every request costs more than all else of a short one. */
async function askHelmet(): Promise<Record<string, string>> {
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

/** Lets these origins ask, and no others; tokens come in a header, so that no credentials of the browser are needed. */
export async function allowOrigins(scope: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return
  await scope.register(cors, {
    origin: (origin, allow) => allow(null, origin !== undefined && origins.includes(origin) ? origin : false),
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: READABLE,
    maxAge: 600,
  })
}
