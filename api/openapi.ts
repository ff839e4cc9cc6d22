/** The OpenAPI document, made from the routes' own schemas, so that it cannot differ from what is served. */
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import { ProblemBody } from './problem.ts'

interface JsonSchema {
  readonly properties?: Readonly<Record<string, object>>
  readonly required?: readonly string[]
  readonly description?: string
}

/** Collects every route of the server from now on, and serves them as OpenAPI 3.1 at `/openapi.json`. */
export function serveOpenApi(app: FastifyInstance): void {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', route => {
    if (!/\*/.test(route.url)) routes.push(route)
  })
  let document: object | undefined
  app.get('/openapi.json', { schema: { summary: 'This document' } }, async () => (document ??= openApi(routes)))
}

function openApi(routes: readonly RouteOptions[]): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    for (const method of [route.method].flat()) {
      if (method === 'HEAD') continue // made by Fastify for every GET
      const path = route.url.replace(/:(\w+)/g, '{$1}')
      paths[path] = { ...paths[path], [method.toLowerCase()]: operation(path, method, route.schema ?? {}) }
    }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'BMA Social', version: '1', description: 'Conversations and operations of venues.' },
    paths,
    components: {
      schemas: { Problem: plain(ProblemBody) },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  }
}

function operation(path: string, method: string, schema: FastifySchema): object {
  const parameters = [
    ...parametersIn('path', schema.params),
    ...parametersIn('query', schema.querystring),
    ...parametersIn('header', schema.headers),
  ]
  const responses = Object.entries((schema.response ?? {}) as Record<string, JsonSchema>).map(([status, body]) => {
    const content = status === '304' ? {} : { content: { 'application/json': { schema: plain(body) } } }
    return [status, { description: body.description ?? statusWords(status), ...content }] as const
  })
  return {
    operationId: `${method.toLowerCase()}${path.replace(/\W+(\w)/g, (_, letter: string) => letter.toUpperCase()).replace(/\W/g, '')}`,
    ...(schema.summary === undefined ? {} : { summary: schema.summary }),
    ...(path.startsWith('/api/') ? { security: [{ token: [] }] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    responses: {
      ...(responses.length === 0 ? { 200: { description: statusWords('200') } } : Object.fromEntries(responses)),
      default: {
        description: 'What went wrong',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  }
}

function parametersIn(where: 'path' | 'query' | 'header', schema: unknown): object[] {
  const { properties = {}, required = [] } = (schema ?? {}) as JsonSchema
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    schema: plain(property),
  }))
}

function statusWords(status: string): string {
  return status.startsWith('2') ? 'OK' : `Status ${status}`
}

/** JSON without what TypeBox keeps beside it. */
function plain(schema: object): unknown {
  return JSON.parse(JSON.stringify(schema))
}
