import { createHmac, createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type JWTPayload, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deriveKey, SESSION_MS, TOKEN_MS, Tokens } from './tokens.ts'

const SECRET = 'a-secret-that-the-crm-shares-with-us'
const SESSION_KEY = 'a-key-of-the-installation'
const CRM = { issuer: 'https://crm.test', audience: 'bma' }

const ed = generateKeyPairSync('ed25519')
const other = generateKeyPairSync('ed25519')
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwk = (key: KeyObject, kid: string, alg: string) => ({ ...key.export({ format: 'jwk' }), kid, alg, use: 'sig' })

let server: Server
let jwksUrl: string
let asked = 0
let answer = 200

beforeAll(async () => {
  const keys = [jwk(ed.publicKey, 'ed', 'EdDSA'), jwk(rsa.publicKey, 'rsa', 'RS256'), jwk(ec.publicKey, 'ec', 'ES256')]
  server = createServer((_, response) => {
    asked++
    response.writeHead(answer, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
})
afterAll(() => new Promise(resolve => server.close(resolve)))

const secret = createSecretKey(SECRET, 'utf8')
const good = { iss: CRM.issuer, aud: CRM.audience, sub: 'u-1', exp: seconds() + 60 } satisfies JWTPayload
function seconds(): number {
  return Math.floor(Date.now() / 1000)
}
const sign = (
  claims: JWTPayload,
  key: KeyObject = secret,
  header: { alg: string; kid?: string; typ?: string } = { alg: 'HS256' },
) => new SignJWT(claims).setProtectedHeader(header).sign(key)

const shared = () => new Tokens(SESSION_KEY, { secret: SECRET, ...CRM })
const published = () => new Tokens(SESSION_KEY, { jwksUrl, ...CRM })

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

test('a token of the CRM is read', async () => {
  expect(await shared().read(await sign({ ...good, iat: seconds(), role: 'agent' }))).toMatchObject({
    own: false,
    subject: 'u-1',
    issuedAt: expect.any(Number),
    expiresAt: good.exp * 1000,
    claims: { role: 'agent' },
  })
})

test.each([
  ['another audience', { ...good, aud: 'another' }],
  ['no audience', { ...good, aud: undefined }],
  ['another issuer', { ...good, iss: 'https://evil.test' }],
  ['expired', { ...good, exp: seconds() - 6 }],
  ['not yet good', { ...good, nbf: seconds() + 60 }],
  ['no subject', { ...good, sub: undefined }],
  ['an empty subject', { ...good, sub: '' }],
  ['a subject with a NUL', { ...good, sub: 'u\u0000' }],
  ['a subject that is no text', { ...good, sub: 7 as unknown as string }],
  ['no expiry', { ...good, exp: undefined }],
])('refused: %s', async (_, claims) => {
  const known = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined))
  expect(await shared().read(await sign(known))).toBeNull()
})

test('clocks may differ by five seconds', async () => {
  expect(await shared().read(await sign({ ...good, exp: seconds() - 3 }))).not.toBeNull()
  expect(await shared().read(await sign({ ...good, nbf: seconds() + 3 }))).not.toBeNull()
})

test.each(['none', 'None', 'NONE', ''])('an unsigned token (alg "%s") is refused', async alg => {
  const unsigned = `${part({ alg, typ: 'JWT' })}.${part(good)}.`
  for (const tokens of [shared(), published()]) {
    expect(await tokens.read(unsigned)).toBeNull()
    const signature = createHmac('sha256', SECRET).update(unsigned.slice(0, -1)).digest('base64url')
    expect(await tokens.read(unsigned + signature)).toBeNull()
  }
})

test('a token that was changed or truncated is refused', async () => {
  const [header, , signature] = (await sign(good)).split('.') as [string, string, string]
  const tokens = shared()
  for (const text of [
    `${header}.${part({ ...good, sub: 'u-2' })}.${signature}`,
    `${header}.${part(good)}.`,
    `${header}.${part(good)}`,
    `${header}.${part(good)}.${signature.slice(0, -2)}`,
    'x.y.z',
    '..',
    '',
  ]) {
    expect(await tokens.read(text)).toBeNull()
  }
})

test('another secret, and other algorithms of the same secret, are refused', async () => {
  const tokens = shared()
  expect(await tokens.read(await sign(good, createSecretKey('some-other-secret-of-somebody-else', 'utf8')))).toBeNull()
  for (const alg of ['HS384', 'HS512']) {
    const longer = createSecretKey(SECRET.repeat(2), 'utf8')
    expect(await new Tokens(SESSION_KEY, { secret: SECRET.repeat(2), ...CRM }).read(await sign(good, longer, { alg }))).toBeNull()
  }
})

test.each([
  ['EdDSA', 'ed', ed.privateKey],
  ['RS256', 'rsa', rsa.privateKey],
  ['ES256', 'ec', ec.privateKey],
] as const)('%s is verified with the published key, which is asked for once', async (alg, kid, key) => {
  const tokens = published()
  const before = asked
  for (let i = 0; i < 3; i++) expect(await tokens.read(await sign(good, key, { alg, kid }))).toMatchObject({ subject: 'u-1' })
  expect(asked - before).toBe(1)
})

test('a key that is not published is refused, whatever the token claims', async () => {
  const tokens = published()
  expect(await tokens.read(await sign(good, other.privateKey, { alg: 'EdDSA', kid: 'other' }))).toBeNull()
  expect(await tokens.read(await sign(good, other.privateKey, { alg: 'EdDSA', kid: 'ed' }))).toBeNull()
  expect(await tokens.read(await sign(good, rsa.privateKey, { alg: 'PS256', kid: 'rsa' }))).toBeNull()
  // With its own key in the header.
  const own = await new SignJWT(good)
    .setProtectedHeader({ alg: 'EdDSA', jwk: other.publicKey.export({ format: 'jwk' }) as never })
    .sign(other.privateKey)
  expect(await tokens.read(own)).toBeNull()
})

test('a published key is never used as a secret', async () => {
  const tokens = published()
  for (const text of [
    rsa.publicKey.export({ type: 'spki', format: 'pem' }),
    rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }),
    JSON.stringify(rsa.publicKey.export({ format: 'jwk' })),
  ]) {
    const signed = await sign(good, createSecretKey(text as string, 'utf8'), { alg: 'HS256', kid: 'rsa' })
    expect(await tokens.read(signed)).toBeNull()
  }
  expect(() => new Tokens(SESSION_KEY, { secret: SECRET, jwksUrl })).toThrow(/either/)
  expect(() => new Tokens(SESSION_KEY, {})).toThrow(/either/)
})

test('keys that cannot be fetched make the service unavailable, not the token invalid', async () => {
  const token = await sign(good, ed.privateKey, { alg: 'EdDSA', kid: 'ed' })
  answer = 500
  await expect(published().read(token)).rejects.toMatchObject({ code: 'unavailable' })
  answer = 200
  const nowhere = new Tokens(SESSION_KEY, { jwksUrl: 'http://127.0.0.1:1/keys', ...CRM })
  await expect(nowhere.read(token)).rejects.toMatchObject({ code: 'unavailable' })
})

test("the CRM's own tokens name their user and purpose", async () => {
  const tokens = new Tokens(SESSION_KEY, { secret: SECRET })
  const jti = '0f2b6f1c5d3e4a798c10b7d2e6f4a913'
  const user = '6f1f2b1e-52d3-4f0e-9a35-0c2f7d1b8e44'
  const claims = { token_type: 'access', exp: seconds() + 3_600, iat: seconds(), jti, user_id: user }
  const read = async (more: object) =>
    (await tokens.read(await sign({ ...claims, ...more }, secret, { alg: 'HS256', typ: 'JWT' })))?.subject
  expect(await read({})).toBe(user)
  expect(await read({ user_id: 42 })).toBe('42')
  expect(await read({ sub: 'u-1' })).toBe('u-1')
  for (const more of [
    { token_type: 'refresh' },
    { token_type: 'refresh', sub: 'u-1' },
    { token_type: 'sliding' },
    { token_type: null },
    { token_type: undefined },
    { user_id: undefined },
    { user_id: null },
    { user_id: '' },
    { user_id: ['x'] },
    { user_id: { a: 1 } },
    { user_id: 1.5 },
    { sub: 7 },
    { user_id: 'a b' },
  ])
    expect([more, await read(more)]).toEqual([more, undefined])
})

test('a token of the CRM without a limited lifetime is refused', async () => {
  const lasting = async (days: number) => shared().read(await sign({ ...good, exp: seconds() + days * 86_400 }))
  expect(await lasting(30)).not.toBeNull()
  for (const days of [32, 36_500]) expect(await lasting(days)).toBeNull()
})

test('our own tokens are valid for minutes, and only in this installation', async () => {
  const tokens = shared()
  const now = Date.now()
  const { token, expiresAt } = await tokens.issue({ tenant: 'main', id: 'main:nok' }, now, now)
  expect(expiresAt.getTime()).toBe(now + TOKEN_MS)
  expect(await tokens.read(token)).toMatchObject({ own: true, subject: 'main:nok', since: now, expiresAt: now + TOKEN_MS })
  expect(await new Tokens('another-key', null).read(token)).toBeNull()
  expect(
    await tokens.read(
      (await tokens.issue({ tenant: 'main', id: 'main:nok' }, now - TOKEN_MS - 1_000, now - TOKEN_MS - 1_000)).token,
    ),
  ).toBeNull()
  // Late in a session it is valid until the session ends.
  expect((await tokens.issue({ tenant: 'main', id: 'main:nok' }, now, now - SESSION_MS + 60_000)).expiresAt.getTime()).toBe(
    now + 60_000,
  )
})

test('tokens of one kind are not accepted as the other', async () => {
  const tokens = new Tokens(SESSION_KEY, { secret: SECRET })
  const ours = {
    iss: 'bma-social',
    aud: 'bma-social',
    sub: 'main:admin',
    tenant: 'main',
    iat: seconds(),
    exp: seconds() + 60,
    since: seconds(),
  }
  expect(await tokens.read(await sign(ours, secret, { alg: 'HS256', typ: 'bma+jwt' }))).toBeNull()
  expect(await tokens.read(await sign(good, deriveKey(SESSION_KEY, 'access tokens')))).toBeNull()
  expect(await tokens.read(await sign(good, createSecretKey(SESSION_KEY, 'utf8')))).toBeNull()
  // Without a configured CRM its tokens are refused.
  expect(await new Tokens(SESSION_KEY, null).read(await sign(good))).toBeNull()
})
