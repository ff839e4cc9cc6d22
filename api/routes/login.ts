/** Login, for users without a token of the CRM: a session is a short-lived access token that is renewed while it is used. */
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { Problem } from '../problem.ts'
import { oneOf, Text, Time } from '../schemas.ts'
import type { Api } from '../types.ts'
import { tokenOf } from '../access/authentication.ts'
import type { Identities } from '../access/identities.ts'
import { hashPassword, verifyPassword, NewPassword } from '../access/passwords.ts'
import { Names } from '../access/grants.ts'
import { hasPermission, principalKey, type Permission, type Principal, ROLES } from '../access/principal.ts'
import { SELF_READ, SELF_WRITE } from '../access/self.ts'
import type { LoginAttempt, Throttle } from '../access/throttle.ts'
import { SESSION_MS, type Tokens } from '../access/tokens.ts'

export const permissions = { SELF_READ, SELF_WRITE }

const Session = Type.Object({
  token: Type.String({ description: 'Send it as "Authorization: Bearer <token>"' }),
  expiresAt: Type.Unsafe<Date>({ ...Time, description: 'Renew it before this time' }),
})

const Credentials = Type.Object(
  {
    email: Type.String({ minLength: 3, maxLength: 320 }),
    password: Type.String({ minLength: 1, maxLength: 200 }),
    tenant: Type.String({ minLength: 1, maxLength: 50, default: 'main' }),
  },
  { additionalProperties: false },
)

const NewOwnPassword = Type.Object(
  { password: Type.String({ minLength: 1, maxLength: 200, description: 'The current password' }), newPassword: NewPassword },
  { additionalProperties: false },
)

const Done = Type.Unsafe<undefined>({ type: 'null', description: 'Done' })

const Me = Type.Object({
  id: Text,
  kind: oneOf('user', 'key', 'token'),
  name: Text,
  role: oneOf(...ROLES),
  tenant: Text,
  regions: Names,
  venues: Names,
  permissions: Type.Array(Text),
})

export interface LoginOptions {
  readonly pool: pg.Pool
  readonly tokens: Tokens
  readonly throttle: Throttle
  readonly identities: Identities
  /** Every permission there is. */
  readonly permissions: readonly Permission[]
}

interface Account {
  readonly id: string
  readonly password_hash: string | null
  readonly disabled: boolean
  readonly tokens_from: Date
  readonly now: Date
}

export function routes(app: Api, { pool, tokens, throttle, identities, permissions }: LoginOptions): void {
  app.post(
    '/login',
    {
      config: { public: true, limit: 'login', action: 'login', write: false },
      schema: {
        summary: 'Log in with e-mail and password',
        body: Credentials,
        response: { 200: Session },
      },
    },
    async request => {
      const { email, password, tenant } = request.body
      const attempt = { account: `${tenant} ${email.toLowerCase()}`, address: request.ip }
      await slowDown(throttle, attempt)
      const { rows } = await pool.query<Account>(
        `SELECT id, password_hash, disabled, tokens_from, clock_timestamp() AS now FROM users
         WHERE tenant = $1 AND lower(email) = lower($2)`,
        [tenant, email],
      )
      const [account] = rows
      request.audited.object = account?.id ?? null
      // Neither the response nor its timing shows whether the account exists.
      const good = await verifyPassword(password, account?.password_hash ?? null)
      if (!good || account === undefined || account.disabled) {
        throw new Problem('invalid_credentials', 'wrong e-mail address or password')
      }
      await throttle.succeeded(attempt)
      const now = Math.max(account.now.getTime(), account.tokens_from.getTime())
      const session = await tokens.issue({ tenant, id: account.id }, now, now)
      const principal = await identities.of(session.token)
      if (principal === null) throw new Problem('forbidden', 'this account has no role: ask an admin')
      request.principal = principal
      request.audited.after = 'session begun'
      return session
    },
  )

  app.post(
    '/login/renew',
    {
      config: { permission: SELF_WRITE, action: 'login.renew', write: false },
      schema: {
        summary: `Renew a token while it is valid, up to ${SESSION_MS / 3_600_000} hours after login`,
        response: { 200: Session },
      },
    },
    async request => {
      const { principal } = request
      const token = await tokens.read(tokenOf(request) ?? '')
      if (token === null || !token.own) throw new Problem('forbidden', 'only tokens issued by /api/v1/login can be renewed')
      const now = Date.now()
      if (now >= token.since + SESSION_MS) throw new Problem('unauthorized', 'the session has ended: log in again')
      request.audited.after = 'session renewed'
      return tokens.issue({ tenant: principal.scope.tenant, id: token.subject }, now, token.since)
    },
  )

  app.post(
    '/logout',
    {
      config: { permission: SELF_WRITE, action: 'logout', write: false },
      schema: {
        summary: 'End all of your sessions: all tokens issued before are invalid',
        response: { 204: Done },
      },
    },
    async ({ principal, audited }, reply) => {
      // One millisecond later, so that tokens issued in this millisecond are invalid too.
      const { rowCount } = await pool.query(
        "UPDATE users SET tokens_from = clock_timestamp() + interval '1 millisecond' WHERE id = $1 AND $2 = 'user' AND tenant = $3",
        [principal.id, principal.kind, principal.scope.tenant],
      )
      if (rowCount === 0) throw new Problem('forbidden', 'only users with an account here can log out')
      Object.assign(audited, { object: principal.id, after: 'every session ended' })
      await identities.changed()
      return reply.code(204).send(undefined)
    },
  )

  app.get(
    '/me',
    {
      config: { permission: SELF_READ },
      schema: { summary: 'The requester and their permissions', response: { 200: Me } },
    },
    async ({ principal }) => me(principal, permissions),
  )

  app.post(
    '/me/password',
    {
      config: { permission: SELF_WRITE, limit: 'login', action: 'me.password' },
      schema: {
        summary: 'Change your own password; ends all of your sessions',
        body: NewOwnPassword,
        response: { 204: Done },
      },
    },
    async ({ body, principal, ip, audited }, reply) => {
      const { rows } = await pool.query<Pick<Account, 'password_hash'>>(
        "SELECT password_hash FROM users WHERE id = $1 AND $2 = 'user' AND tenant = $3 AND password_hash IS NOT NULL",
        [principal.id, principal.kind, principal.scope.tenant],
      )
      const [account] = rows
      if (account === undefined) throw new Problem('forbidden', 'only users with a password here can change it')
      audited.object = principal.id
      const attempt = { account: principalKey(principal), address: ip }
      await slowDown(throttle, attempt)
      if (!(await verifyPassword(body.password, account.password_hash))) {
        throw new Problem('invalid_credentials', 'the current password is wrong')
      }
      await throttle.succeeded(attempt)
      await pool.query(
        "UPDATE users SET password_hash = $2, tokens_from = clock_timestamp() + interval '1 millisecond', updated_at = now() WHERE id = $1 AND tenant = $3",
        [principal.id, await hashPassword(body.newPassword), principal.scope.tenant],
      )
      audited.after = 'password changed, every session ended'
      await identities.changed()
      return reply.code(204).send(undefined)
    },
  )
}

/** @throws {Problem} `rate_limited` if the attempt must wait */
async function slowDown(throttle: Throttle, attempt: LoginAttempt): Promise<void> {
  const { seconds, delayMs } = await throttle.attempt(attempt)
  if (seconds > 0) throw new Problem('rate_limited', `too many failed logins: try again in ${seconds} s`, { retryAfter: seconds })
  if (delayMs > 0) await sleep(delayMs)
}

function me(principal: Principal, permissions: readonly Permission[]): Static<typeof Me> {
  const { id, kind, name, role, scope } = principal
  return {
    id,
    kind,
    name,
    role,
    tenant: scope.tenant,
    regions: scope.regions === null ? null : [...scope.regions],
    venues: scope.venues === null ? null : [...scope.venues],
    permissions: permissions.filter(permission => hasPermission(principal, permission)).map(permission => permission.name),
  }
}
