import fastify, { type FastifyInstance, type FastifyRequest, type RouteOptions } from 'fastify'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestLog } from '../../sinks/testing/log.ts'
import { handleError } from '../problem.ts'
import { AuditTrail } from './audit-trail.ts'
import { requireAuth, isProtected, assertRoutesProtected } from './authentication.ts'
import type { Identities } from './identities.ts'
import type { Limiter } from './rate-limits.ts'
import { type Permission, type Principal, permission, ROLES } from './principal.ts'

/** One for each role, one for all. */
const permissions = [...ROLES.map(role => permission(`of:${role}`, [role])), permission('venues:read', ROLES)]
const pathOf = ({ name }: Permission) => name.replace(':', '-')
const VENUES_READ = permission('venues:read', ROLES)
const PEOPLE_READ = permission('people:read', ['admin'])
const QUERY = permission('analytics:query', ['admin', 'analyst'])

const SCOPE = { tenant: 'main', regions: null, venues: null }

/** A token is the name of a role. */
const identities = {
  cached: () => null,
  of: async (token: string) =>
    (ROLES as readonly string[]).includes(token)
      ? ({
          id: token,
          kind: 'user',
          name: token,
          role: token,
          scope: SCOPE,
        } as Principal)
      : null,
} as unknown as Identities

/** The limits that requests counted towards. */
const limited: string[] = []
const limiter: Limiter = name => (_request, _reply, done) => {
  limited.push(name)
  done()
}
let trail: AuditTrail
let app: FastifyInstance

beforeAll(async () => {
  const log = await TestLog.open()
  trail = await AuditTrail.open({ log, codec: log.codec, logger: { error: () => {} } as never, registry: new Registry() })
  app = await server(scope => {
    for (const permission of permissions) scope.get(`/${pathOf(permission)}`, { config: { permission } }, async () => 'in')
    scope.post('/login', { config: { public: true, write: false } }, async () => 'in')
  })
})

afterAll(async () => {
  await app.close()
  await trail.close()
})

async function server(
  routes: (scope: FastifyInstance) => void,
  options: { prefix?: string; passwords?: boolean; identities?: Identities } = {},
) {
  const { prefix = '/api', ...door } = options
  const made = fastify()
  made.setErrorHandler(handleError)
  made.decorateRequest('principal', null as never)
  made.decorateRequest('audited', null as never)
  assertRoutesProtected(made)
  made.register(
    async scope => {
      requireAuth(scope, { identities, trail, limiter, ...door })
      scope.setNotFoundHandler(async (_, reply) => reply.code(404).send())
      routes(scope)
    },
    { prefix },
  )
  await made.ready()
  return made
}

interface Way {
  readonly headers?: Record<string, string>
  readonly query?: Record<string, string>
}

const as = (token: string) => ({ authorization: `Bearer ${token}` })

test.each(permissions)('$name admits the roles that have it, and no others', async permission => {
  for (const role of ROLES) {
    const { statusCode } = await app.inject({ url: `/api/${pathOf(permission)}`, headers: as(role) })
    const allowed = permission.roles.includes(role)
    expect(`${role} ${statusCode}`).toBe(`${role} ${allowed ? 200 : 403}`)
  }
  for (const headers of [{}, as('nobody'), as(''), { authorization: 'admin' }, { authorization: 'Basic YTphZG1pbg==' }]) {
    expect((await app.inject({ url: `/api/${pathOf(permission)}`, headers })).statusCode).toBe(401)
  }
})

test('a route counts towards the limit that it names, after authentication', async () => {
  const made = await server(scope => {
    const permission = VENUES_READ
    scope.get('/one', { config: { permission, limit: 'status' } }, async () => 'in')
    scope.get('/other', { config: { permission } }, async () => 'in')
    const limit = ({ query }: FastifyRequest) => ((query as { q?: string }).q === undefined ? 'other' : 'search')
    scope.get('/venues', { config: { permission, limit } }, async () => 'in')
  })
  limited.length = 0
  for (const url of ['/api/one', '/api/other', '/api/venues', '/api/venues?q=x', '/api/nothing']) {
    await made.inject({ url, headers: as('ops') })
    await made.inject({ url })
  }
  expect(limited).toEqual(['status', 'other', 'other', 'search', 'other'])
  await made.close()
})

test('only with a token is an unknown path 404', async () => {
  expect((await app.inject({ url: '/api/nothing' })).statusCode).toBe(401)
  expect((await app.inject({ url: '/api/nothing', headers: as('ops') })).statusCode).toBe(404)
})

test('a public route needs no token, and ignores an invalid one', async () => {
  expect((await app.inject({ method: 'POST', url: '/api/login' })).statusCode).toBe(200)
  expect((await app.inject({ method: 'POST', url: '/api/login', headers: as('nobody') })).statusCode).toBe(200)
  expect((await app.inject({ method: 'GET', url: '/api/login' })).statusCode).toBe(401)
})

test("a token is accepted as ClickHouse's password, only there", async () => {
  const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
  const ways: Way[] = [
    { headers: as('analyst') },
    { headers: basic('default:analyst') },
    { headers: basic(':analyst') },
    { headers: { 'x-clickhouse-user': 'default', 'x-clickhouse-key': 'analyst' } },
    { query: { password: 'analyst', user: 'default' } },
  ]
  const clickhouse = await server(scope => scope.post('/', { config: { permission: QUERY, write: false } }, async () => 'in'), {
    prefix: '/clickhouse',
    passwords: true,
  })
  for (const [i, way] of ways.entries()) {
    expect((await clickhouse.inject({ method: 'POST', url: '/clickhouse', ...way })).statusCode).toBe(200)
    expect((await app.inject({ url: '/api/venues-read', ...way })).statusCode).toBe(i === 0 ? 200 : 401)
  }
  const bad: Way[] = [
    {},
    { headers: basic('analyst:') },
    { headers: basic('analyst') },
    { headers: basic('analyst:wrong') },
    { headers: { 'x-clickhouse-key': 'wrong' } },
    { query: { password: 'wrong' } },
    { query: { user: 'analyst' } },
  ]
  for (const way of bad) {
    expect((await clickhouse.inject({ method: 'POST', url: '/clickhouse', ...way })).statusCode).toBe(401)
  }
  expect((await clickhouse.inject({ method: 'POST', url: '/clickhouse', headers: basic('x:staff') })).statusCode).toBe(403)
  await clickhouse.close()
})

test.each([
  ['no config', undefined],
  ['no permission', { personal: true }],
  ['no permission, and not public', { public: false }],
])('a server with a route of %s does not start', async (_, config) => {
  const open = server(scope => void scope.get('/open', { config: config as never }, async () => 'in'))
  await expect(open).rejects.toThrow('/api/open')
})

test('every spelling of a protected path is recognised', () => {
  for (const url of [
    '/api',
    '/api/',
    '/api/v1',
    '/api?x',
    '/api#x',
    '/%61pi/v1',
    '/clickhouse',
    '/clickhouse/?query=1',
    '/api/%zz',
  ]) {
    expect([url, isProtected(url)]).toEqual([url, true])
  }
  for (const url of ['/', '', '/apis', '/docs/api', '/openapi.json', '/webhooks/api', '/%zz']) {
    expect([url, isProtected(url)]).toEqual([url, false])
  }
})

test('no route is without a permission, including HEAD and OPTIONS', async () => {
  const routes: RouteOptions[] = []
  const made = await server(scope => {
    scope.addHook('onRoute', route => void routes.push(route))
    scope.get('/venues', { config: { permission: VENUES_READ } }, async () => 'in')
  })
  expect(routes.map(({ method }) => method)).toEqual(['GET', 'HEAD'])
  for (const { method } of routes) {
    expect((await made.inject({ method: method as 'GET', url: '/api/venues' })).statusCode).toBe(401)
  }
  await made.close()
})

test('a cached principal passes without a look-up, within their permissions', async () => {
  let asked = 0
  const known = {
    cached: (token: string) => ({ id: token, kind: 'user', name: token, role: token, scope: SCOPE }) as Principal,
    of: async () => {
      asked++
      return null
    },
  } as unknown as Identities
  const made = await server(
    scope => {
      scope.get('/venues', { config: { permission: VENUES_READ } }, async ({ principal }) => principal.id)
      scope.get('/users', { config: { permission: PEOPLE_READ } }, async () => 'in')
    },
    { identities: known },
  )
  const venues = await made.inject({ url: '/api/venues', headers: as('ops') })
  expect([venues.statusCode, venues.body]).toEqual([200, 'ops'])
  expect((await made.inject({ url: '/api/users', headers: as('ops') })).statusCode).toBe(403)
  expect(asked).toBe(0)
  // Without a token no principal is cached.
  expect((await made.inject({ url: '/api/venues' })).statusCode).toBe(401)
  await made.close()
})
