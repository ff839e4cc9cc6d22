/** Finds the principal that a token identifies. */
import { hash, timingSafeEqual } from 'node:crypto'
import type { JWTPayload } from 'jose'
import type pg from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { Problem } from '../problem.ts'
import { BadTokens } from './bad-tokens.ts'
import { verifySecret, parseKey } from './keys.ts'
import { LIMITS } from './limits.ts'
import { DEFAULT_TENANT } from '../../domain/tenants.ts'
import { ADMIN_ID, isRole, type Principal, type Scope, isWithinScope } from './principal.ts'
import type { Token, Tokens } from './tokens.ts'

/** How long a validated token is cached. A revocation made by another process takes effect within this time. */
const CACHED_MS = 30_000
const MAX_CACHED = 10_000
const MAX_RECENT = 2_000
const MAX_TOKEN_CHARS = 8 * 1024

export interface IdentityOptions {
  readonly adminToken: string | null
  readonly tokens: Tokens
  readonly pool: pg.Pool
  readonly log: Pick<Logger, 'warn'>
  /** Invalid tokens per address and minute, after which its API keys are not looked up. */
  readonly maxBadTokens?: number
  readonly now?: () => number
  /** Notifies other processes that users or keys have changed. */
  readonly notify?: (() => Promise<void>) | undefined
}

interface Identified {
  readonly principal: Principal
  /** ms since the epoch. */
  readonly until: number
}

export class Identities {
  readonly #options: IdentityOptions
  readonly #admin: Buffer | null
  readonly #now: () => number
  /** By the token's digest, oldest first. */
  readonly #cached = new Map<string, Identified>()
  /** The same for frequent tokens, by the token itself: computing its digest costs more than the rest of the look-up. */
  readonly #recent = new Map<string, Identified>()
  #recentUntil = 0
  /** Digests of tokens that were valid once, and so are not guesses. */
  readonly #onceValid = new Set<string>()
  readonly #badTokens: BadTokens
  #generation = 0

  constructor(options: IdentityOptions) {
    this.#options = options
    this.#admin = options.adminToken ? digest(options.adminToken) : null
    this.#now = options.now ?? Date.now
    this.#badTokens = new BadTokens(options.maxBadTokens ?? LIMITS.token.max, LIMITS.token.windowMs, this.#now)
  }

  /** The principal of a recently used token, without yielding; null if it must be looked up with `of`. */
  cached(token: string): Principal | null {
    const now = this.#now()
    // No token is kept in memory for longer than it is cached.
    if (now >= this.#recentUntil) this.#recent.clear()
    const known = this.#recent.get(token)
    return known !== undefined && known.until > now ? known.principal : null
  }

  /**
   * @param address of the client; null if invalid tokens are not counted
   * @returns null for an invalid token
   * @throws {Problem} `forbidden` for a valid token of somebody unknown here; `rate_limited` after too many invalid ones
   */
  async of(token: string, address: string | null = null): Promise<Principal | null> {
    const found = token.length > MAX_TOKEN_CHARS ? null : await this.#of(token, address)
    if (found === null && address !== null) this.#badTokens.failed(address)
    return found
  }

  async #of(token: string, address: string | null): Promise<Principal | null> {
    const digested = digest(token)
    // Digests have the same length, so the comparison takes the same time for every token.
    if (this.#admin !== null && timingSafeEqual(digested, this.#admin)) {
      this.#remember(token, { principal: ADMIN, until: this.#now() + CACHED_MS })
      return ADMIN
    }
    const key = digested.toString('latin1')
    const known = this.#cached.get(key)
    if (known !== undefined && known.until > this.#now()) {
      this.#remember(token, known)
      return known.principal
    }
    this.#cached.delete(key)
    const generation = this.#generation
    const wait = address === null || this.#onceValid.has(key) ? 0 : this.#badTokens.wait(address)
    const found = await this.#find(token, wait)
    if (found === null) {
      this.#onceValid.delete(key)
      if (wait > 0) throw tooMany(wait)
      return null
    }
    if (this.#onceValid.size >= MAX_CACHED) this.#onceValid.delete(this.#onceValid.values().next().value as string)
    this.#onceValid.add(key)
    // Do not cache a look-up that began before a change.
    if (generation === this.#generation) this.#keep(key, found)
    return found.principal
  }

  /** Call after users or keys were changed here: notifies the other processes. */
  async changed(): Promise<void> {
    this.forget()
    const { notify, log } = this.#options
    // A process that is not notified uses its cache until that expires.
    await notify?.().catch(error =>
      log.warn({ reason: messageOf(error) }, 'cannot notify other processes of changed users or keys: they see it later'),
    )
  }

  /** Clears the cache. */
  forget(): void {
    this.#generation++
    this.#cached.clear()
    this.#recent.clear()
  }

  /** Tokens that do not fit are found by their digest. */
  #remember(token: string, identified: Identified): void {
    const now = this.#now()
    if (now >= this.#recentUntil) {
      this.#recent.clear()
      this.#recentUntil = now + CACHED_MS
    }
    if (this.#recent.size < MAX_RECENT) this.#recent.set(token, identified)
  }

  #keep(key: string, { principal, until }: Identified): void {
    if (this.#cached.size >= MAX_CACHED) this.#cached.delete(this.#cached.keys().next().value as string)
    this.#cached.set(key, { principal, until: Math.min(until, this.#now() + CACHED_MS) })
  }

  /** @param wait seconds for which API keys are not looked up; verifying a signature needs no look-up */
  #find(token: string, wait: number): Promise<Identified | null> {
    const key = parseKey(token)
    if (key === null) return this.#findByToken(token)
    if (wait > 0) throw tooMany(wait)
    return this.#findByKey(key)
  }

  async #findByKey({ id, secret }: { id: string; secret: string }): Promise<Identified | null> {
    const { pool, log } = this.#options
    const { rows } = await pool.query<KeyRow>(
      `SELECT k.id, k.hash, k.tenant, k.name, k.role, k.regions, k.venues, k.expires_at, k.revoked_at, k.owner,
         CASE WHEN NOT u.disabled THEN u.role END AS owner_role, u.regions AS owner_regions, u.venues AS owner_venues
       FROM api_keys k LEFT JOIN users u ON u.tenant = k.tenant AND u.id = k.owner WHERE k.id = $1`,
      [id],
    )
    const [row] = rows
    if (!verifySecret(secret, row?.hash) || row === undefined || row.revoked_at !== null) return null
    const until = row.expires_at?.getTime() ?? Number.POSITIVE_INFINITY
    const principal = principalOf('key', row, row.owner)
    if (until <= this.#now() || principal === null || !isCovered(row)) return null
    // In the background: the request neither waits for it nor fails with it.
    pool
      .query(
        `UPDATE api_keys SET last_used_at = now() WHERE id = $1 AND (last_used_at < now() - interval '1 minute') IS NOT FALSE`,
        [id],
      )
      .catch((error: Error) => log.warn({ reason: error.message }, 'cannot store when an API key was last used'))
    return { principal, until }
  }

  /** Whether a subject of the CRM is an id that was assigned here: its bearer would be taken for somebody else. */
  async #isReserved({ subject }: Token, isAccount: boolean): Promise<boolean> {
    if (subject === ADMIN_ID) return true
    if (!isLocalId(subject)) return false
    if (isAccount) return true
    const { rowCount } = await this.#options.pool.query('SELECT 1 FROM api_keys WHERE id = $1', [subject])
    return rowCount !== 0
  }

  async #findByToken(text: string): Promise<Identified | null> {
    const token = await this.#options.tokens.read(text)
    if (token === null) return null
    const { rows } = await this.#options.pool.query<UserRow>(
      `SELECT id, tenant, name, role, regions, venues, disabled, tokens_from > created_at AS revoked, tokens_from
       FROM users WHERE tenant = $1 AND id = $2`,
      [token.tenant, token.subject],
    )
    const [row] = rows
    if (!token.own && (await this.#isReserved(token, row !== undefined))) return null
    if (row === undefined) {
      if (token.own) return null
      return { principal: principalOfClaims(token.subject, token.claims), until: token.expiresAt }
    }
    if (row.disabled || (row.revoked && !isIssuedSince(token.issuedAt, row.tokens_from))) return null
    const principal = principalOf('user', row, row.id)
    return principal === null ? null : { principal, until: token.expiresAt }
  }
}

function tooMany(seconds: number): Problem {
  return new Problem('rate_limited', `too many invalid tokens from your address: try again in ${seconds} s`, {
    retryAfter: seconds,
  })
}

/** Whether the owner of a key could still create it. */
function isCovered({ owner, owner_role, owner_regions, owner_venues, tenant, role, regions, venues }: KeyRow): boolean {
  if (owner === null) return true
  if (owner_role !== 'admin' && owner_role !== role) return false
  return isWithinScope(scopeOf(tenant, owner_regions, owner_venues), scopeOf(tenant, regions, venues))
}

/** Generated ids of accounts and keys. */
const LOCAL_ID = /^(?:[a-z0-9][a-z0-9-]{0,49}:[0-9a-f]{18}|[0-9a-f]{16})$/

/** Whether an id has the form of those assigned here, which no external subject may have. */
export function isLocalId(id: string): boolean {
  return id === ADMIN_ID || LOCAL_ID.test(id)
}

/** Whether a token was issued after the account's sessions were ended; unknown counts as before. */
function isIssuedSince(issuedAt: number | null, from: Date): boolean {
  return issuedAt !== null && Math.round(issuedAt) >= from.getTime()
}

interface Row {
  readonly id: string
  readonly tenant: string
  readonly name: string
  readonly role: string
  readonly regions: string[] | null
  readonly venues: string[] | null
}

interface UserRow extends Row {
  readonly disabled: boolean
  readonly revoked: boolean
  readonly tokens_from: Date
}

interface KeyRow extends Row {
  readonly hash: Buffer
  readonly expires_at: Date | null
  readonly revoked_at: Date | null
  readonly owner: string | null
  readonly owner_role: string | null
  readonly owner_regions: string[] | null
  readonly owner_venues: string[] | null
}

/** The installation's own token sees all of the home tenant. */
const ADMIN: Principal = {
  id: ADMIN_ID,
  kind: 'token',
  name: 'ADMIN_TOKEN',
  role: 'admin',
  scope: { tenant: DEFAULT_TENANT, regions: null, venues: null },
}

function principalOf(kind: 'user' | 'key', row: Row, account: string | null): Principal | null {
  const { id, tenant, name, role, regions, venues } = row
  return isRole(role) ? { id, kind, name, role, scope: scopeOf(tenant, regions, venues), account } : null
}

/** The principal of a CRM user without an account here, from the token's claims. @throws {Problem} if they are insufficient */
function principalOfClaims(id: string, { role, tenant = DEFAULT_TENANT, regions = null, venues = null }: JWTPayload): Principal {
  const refuse = (why: string) => new Problem('forbidden', `the token is valid, but its subject has no account here, and ${why}`)
  if (!isRole(role)) throw refuse('its claim "role" is not one of the roles here')
  if (typeof tenant !== 'string' || !TENANT.test(tenant)) throw refuse('its claim "tenant" is not a valid tenant name')
  if (!isListOrNull(regions) || !isListOrNull(venues)) throw refuse('its claims "regions" and "venues" must be arrays of strings')
  const scope = scopeOf(tenant, regions, venues)
  if (!isScoped(role, scope)) throw refuse('the role staff requires the claim "venues" or "regions"')
  return { id, kind: 'user', name: id, role, scope }
}

/** Regions are stored in lower case. */
function scopeOf(tenant: string, regions: readonly string[] | null, venues: readonly string[] | null): Scope {
  return { tenant, regions: regions?.map(region => region.trim().toLowerCase()) ?? null, venues }
}

/** Staff must be limited to some venues. */
export function isScoped(role: string, { regions, venues }: Pick<Scope, 'regions' | 'venues'>): boolean {
  return role !== 'staff' || regions !== null || venues !== null
}

const TENANT = /^[a-z0-9][a-z0-9-]{0,49}$/

function isListOrNull(value: unknown): value is string[] | null {
  return value === null || (Array.isArray(value) && value.length <= 1_000 && value.every(one => typeof one === 'string'))
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}
