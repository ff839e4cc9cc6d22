import fc from 'fast-check'
import { expect, test } from 'vitest'
import { makeKey, verifySecret, parseKey } from './keys.ts'
import { hashPassword, verifyPassword } from './passwords.ts'
import { isRole, hasPermission, permission, type Principal, ROLES, type Scope, isWithinScope } from './principal.ts'

const somebody = (role: string): Principal =>
  ({ id: 'x', kind: 'user', name: 'x', role, scope: { tenant: 'main', regions: null, venues: null } }) as Principal

test('what is not granted is denied', () => {
  const write = permission('people:write', ['admin'])
  expect(ROLES.filter(role => hasPermission(somebody(role), write))).toEqual(['admin'])
  for (const role of ['', 'root', 'Admin', 'constructor', 'length']) expect(hasPermission(somebody(role), write)).toBe(false)
  expect([isRole('agent'), isRole('Agent'), isRole(null), isRole(['admin'])]).toEqual([true, false, false, false])
})

const names = fc.option(fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }))
const scopes: fc.Arbitrary<Scope> = fc.record({ tenant: fc.constantFrom('main', 'other'), regions: names, venues: names })

test('a scope within another one sees nothing that the other does not', () => {
  const sees = (list: readonly string[] | null, name: string) => list === null || list.includes(name)
  const universe = ['a', 'b', 'c', 'something else']
  fc.assert(
    fc.property(scopes, scopes, (outer, inner) => {
      const holds =
        outer.tenant === inner.tenant &&
        universe.every(name => sees(outer.regions, name) || !sees(inner.regions, name)) &&
        universe.every(name => sees(outer.venues, name) || !sees(inner.venues, name))
      expect(isWithinScope(outer, inner)).toBe(holds)
    }),
  )
})

test('a key has an id and a secret, of which only the digest is stored', () => {
  const made = makeKey()
  const parsed = parseKey(made.key)
  expect(parsed?.id).toBe(made.id)
  const { secret } = parsed as { secret: string }
  expect(verifySecret(secret, made.hash)).toBe(true)
  expect(verifySecret(`${secret.slice(0, -2)}xx`, made.hash)).toBe(false)
  expect(verifySecret(secret, undefined)).toBe(false)
  expect(verifySecret(secret, Buffer.alloc(0))).toBe(false)
  expect(made.hash.toString('base64url')).not.toContain(secret)
  for (const text of [
    '',
    'bma_',
    made.key.slice(0, -1),
    `${made.key}x`,
    ` ${made.key}`,
    made.key.toUpperCase(),
    `x${made.key}`,
  ]) {
    expect(parseKey(text)).toBeNull()
  }
  expect(makeKey().key).not.toBe(made.key)
})

test('passwords are stored as argon2id', async () => {
  const kept = await hashPassword('correct horse battery')
  expect(kept).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  expect(await verifyPassword('correct horse battery', kept)).toBe(true)
  expect(await verifyPassword('correct horse batter', kept)).toBe(false)
  expect(await verifyPassword('correct horse battery', null)).toBe(false)
  expect(await hashPassword('correct horse battery')).not.toBe(kept)
})
