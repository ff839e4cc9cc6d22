import { createSecretKey } from 'node:crypto'
import { SignJWT } from 'jose'
import type pg from 'pg'
import { describe, expect, test } from 'vitest'
import { BadTokens } from './bad-tokens.ts'
import { Identities } from './identities.ts'
import { makeKey } from './keys.ts'
import { Tokens } from './tokens.ts'

const SECRET = 'a-secret-of-the-tests-and-their-crm'
const HERE = '192.0.2.1'

test('invalid tokens are counted by address, an IPv6 network as one, in windows', () => {
  let now = 0
  const guesses = new BadTokens(2, 60_000, () => now)
  for (const address of ['2001:db8::1', '2001:db8::2', HERE]) guesses.failed(address)
  expect([guesses.wait('2001:db8::3'), guesses.wait(HERE), guesses.wait('2001:db8:0:1::1')]).toEqual([60, 0, 0])
  now = 59_000
  expect(guesses.wait('2001:db8::3')).toBe(1)
  now = 60_000
  expect(guesses.wait('2001:db8::3')).toBe(0)
})

describe('guessing', () => {
  /** A database that has one key, and counts its queries. */
  function world() {
    const made = makeKey()
    let asked = 0
    const key = {
      ...made,
      tenant: 'main',
      name: 'k',
      role: 'ops',
      regions: null,
      venues: null,
      expires_at: null,
      revoked_at: null,
      owner: null,
    }
    const query = async (sql: string, [id]: string[]) => {
      if (/^UPDATE/.test(sql)) return { rows: [] }
      asked++
      return { rows: /FROM api_keys/.test(sql) && id === made.id ? [key] : [] }
    }
    let now = 1_700_000_000_000
    const identities = new Identities({
      adminToken: 'the-token-of-the-installation',
      tokens: new Tokens('a-session-key-of-the-tests', { secret: SECRET }),
      pool: { query } as unknown as pg.Pool,
      log: { warn: () => {} },
      maxBadTokens: 10,
      now: () => now,
    })
    const turn = (ms: number) => {
      now += ms
    }
    const guess = () =>
      identities.of(makeKey().key, HERE).then(
        () => 'none',
        (error: { code: string }) => error.code,
      )
    return { identities, guess, asked: () => asked, key: made.key, turn }
  }

  test('costs no look-up once an address has sent too many', async () => {
    const { guess, asked, turn } = world()
    const said: string[] = []
    for (let n = 0; n < 100; n++) said.push(await guess())
    expect(said.slice(0, 10)).toEqual(Array(10).fill('none'))
    expect(new Set(said.slice(10))).toEqual(new Set(['rate_limited']))
    expect(asked()).toBe(10)
    turn(60_000)
    expect(await guess()).toBe('none')
  })

  test('affects nobody else: known tokens, signed ones and other addresses are accepted', async () => {
    const { identities, guess, key, turn } = world()
    expect(await identities.of(key, HERE)).toMatchObject({ role: 'ops' })
    for (let n = 0; n < 20; n++) await guess()
    turn(31_000) // its cache entry has expired
    expect(await identities.of(key, HERE)).toMatchObject({ role: 'ops' })
    expect(await identities.of('the-token-of-the-installation', HERE)).toMatchObject({ role: 'admin' })
    const signed = await new SignJWT({ role: 'agent' })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('crm-nok')
      .setExpirationTime('15m')
      .sign(createSecretKey(SECRET, 'utf8'))
    expect(await identities.of(signed, HERE)).toMatchObject({ role: 'agent' })
    expect(await identities.of(makeKey().key, '192.0.2.2')).toBeNull()
    await expect(identities.of(`${signed}x`, HERE)).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfter: expect.any(Number),
    })
  })

  test('a valid token is cached for as long as it is trusted, and not after users have changed', async () => {
    const { identities, turn, key } = world()
    expect(identities.cached(key)).toBeNull()
    await identities.of(key, HERE)
    await identities.of(key, HERE)
    expect(identities.cached(key)).toMatchObject({ role: 'ops' })
    expect(identities.cached(`${key.slice(0, -1)}x`)).toBeNull()
    turn(29_999)
    expect(identities.cached(key)).not.toBeNull()
    turn(1)
    expect(identities.cached(key)).toBeNull()
    await identities.of(key, HERE)
    await identities.of(key, HERE)
    identities.forget()
    expect(identities.cached(key)).toBeNull()
    await identities.of('the-token-of-the-installation', HERE)
    expect(identities.cached('the-token-of-the-installation')).toMatchObject({ role: 'admin', kind: 'token' })
  })
})
