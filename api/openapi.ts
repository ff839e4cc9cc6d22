/** The OpenAPI document, generated from the routes' own schemas, so that it cannot differ from what is served. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, RouteOptions } from 'fastify'
import './access/route-config.ts'
import { ProblemBody } from './problem.ts'

interface JsonSchema {
  readonly type?: unknown
  readonly properties?: Readonly<Record<string, object>>
  readonly required?: readonly string[]
  readonly description?: string
}

/** Call before any route is added. Serves OpenAPI 3.1 at `/openapi.json`, and a page for people at `/docs`. */
export async function serveOpenApi(app: FastifyInstance): Promise<void> {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', route => {
    const hidden = (route.schema as { hide?: boolean } | undefined)?.hide === true
    if (!/\*/.test(route.url) && !hidden) routes.push(route)
  })
  let document: Record<string, unknown> | undefined
  const made = () => (document ??= openApi(routes))
  app.get('/openapi.json', { schema: { summary: 'This document' } }, async () => made())
  await app.register(swagger, { mode: 'static', specification: { document: { openapi: '3.1.0', info: INFO, paths: {} } } })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    transformStaticCSP: () => DOCS_CSP,
    transformSpecification: made,
    uiConfig: { docExpansion: 'none', deepLinking: true, persistAuthorization: false },
  })
}

/** The page loads files of this origin only. */
const DOCS_CSP =
  "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

const INFO = {
  title: 'BMA Social',
  version: '1',
  description: 'Conversations and operations of venues.',
  license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
}

function openApi(routes: readonly RouteOptions[]): Record<string, unknown> {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    for (const method of [route.method].flat()) {
      if (method === 'HEAD' || method === 'OPTIONS') continue // added by Fastify for every GET, and for CORS
      const path = route.url.replace(/:(\w+)/g, '{$1}').replace(/(.)\/$/, '$1')
      paths[path] = { ...paths[path], [method.toLowerCase()]: operation(path, method, route) }
    }
  }
  return {
    openapi: '3.1.0',
    info: INFO,
    servers: [{ url: '/', description: 'Where this document is served' }],
    tags: [...new Set(Object.keys(paths).map(tagOf))].map(name => ({ name, description: `Paths that begin with "${name}"` })),
    paths,
    components: {
      schemas: { Problem: plain(ProblemBody) },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      headers: Object.fromEntries(
        ['limit', 'remaining', 'reset'].map(name => [
          `ratelimit-${name}`,
          { description: 'Of the current rate limit window', schema: { type: 'integer' } },
        ]),
      ),
    },
  }
}

const LIMITS = Object.fromEntries(
  ['limit', 'remaining', 'reset'].map(name => [`ratelimit-${name}`, { $ref: `#/components/headers/ratelimit-${name}` }]),
)

const PROBLEM = {
  description: 'What went wrong',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}

/** `venues` of /api/v1/venues/{id}, `healthz` of /healthz. */
function tagOf(path: string): string {
  return /^\/(?:api\/v1\/)?([\w-]+)/.exec(path)?.[1] ?? 'pages'
}

function operation(path: string, method: string, { schema = {}, config = {} }: RouteOptions): object {
  const parameters = [
    ...parametersIn('path', schema.params),
    ...parametersIn('query', schema.querystring),
    ...parametersIn('header', schema.headers),
  ]
  const isSql = path.startsWith('/clickhouse')
  const isProtected = /^\/(api|clickhouse)(\/|$)/.test(path)
  const produced = schema.produces ?? (isSql ? 'text/plain' : 'application/json')
  const headers = isProtected ? { headers: LIMITS } : {}
  const responses = Object.entries((schema.response ?? {}) as Record<string, JsonSchema>).map(([status, body]) => {
    const content = body.type === 'null' ? {} : { content: { [produced]: { schema: plain(body) } } }
    return [status, { description: body.description ?? statusWords(status), ...headers, ...content }] as const
  })
  const body =
    schema.body === undefined
      ? isSql && method === 'POST'
        ? { requestBody: { required: true, content: { 'text/plain': { schema: { type: 'string', description: 'SQL' } } } } }
        : {}
      : { requestBody: { required: true, content: { 'application/json': { schema: asked(schema.body as JsonSchema) } } } }
  const { permission, installationWide } = config
  return {
    operationId: `${method.toLowerCase()}${path.replace(/\W+(\w)/g, (_, letter: string) => letter.toUpperCase()).replace(/\W/g, '')}`,
    ...(schema.summary === undefined ? {} : { summary: schema.summary }),
    ...(permission === undefined
      ? {}
      : {
          description: `Requires the permission \`${permission.name}\`${installationWide ? ' and an installation-wide scope' : ''}.`,
          'x-permission': permission.name,
        }),
    ...(installationWide ? { 'x-whole': true } : {}),
    tags: [tagOf(path)],
    security: isProtected && !config.public ? [{ token: [] }] : [],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...body,
    responses: {
      ...(responses.length === 0
        ? {
            200: {
              description: statusWords('200'),
              content: { [produced]: { schema: produced === 'application/json' ? {} : { type: 'string' } } },
            },
          }
        : Object.fromEntries(responses)),
      '4XX': PROBLEM,
      default: PROBLEM,
    },
  }
}

function parametersIn(where: 'path' | 'query' | 'header', schema: unknown): object[] {
  const { properties = {}, required = [] } = (schema ?? {}) as JsonSchema
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: where,
    required: where === 'path' || (required.includes(name) && !('default' in property)),
    schema: plain(property),
  }))
}

function statusWords(status: string): string {
  return status.startsWith('2') ? 'OK' : `Status ${status}`
}

/** What a client has to send: what has a default may be left out. */
function asked(schema: JsonSchema): object {
  const { required = [], ...rest } = plain(schema) as JsonSchema
  const needed = required.filter(name => !('default' in (schema.properties?.[name] ?? {})))
  return needed.length === 0 ? rest : { ...rest, required: needed }
}

/** JSON without what TypeBox keeps beside it. */
function plain(schema: object): unknown {
  return JSON.parse(JSON.stringify(schema))
}
