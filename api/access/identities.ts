/** From a token to who brings it. */
import { hash, timingSafeEqual } from 'node:crypto'
import type { JWTPayload } from 'jose'
import type pg from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { Problem } from '../problem.ts'
import { Guesses } from './bad-tokens.ts'
import { isSecret, parseKey } from './keys.ts'
import { LIMITS } from './limits.ts'
import { ADMIN_ID, HOME_TENANT, isRole, type Principal, type Scope, within } from './principal.ts'
import type { Token, Tokens } from './tokens.ts'

/** A token that was found good is taken as such for so long: so late is it noticed elsewhere that it was revoked. */
const TRUSTED_MS = 30_000
const MOST_KNOWN = 10_000
const MOST_RECENT = 2_000
const LONGEST_TOKEN = 8 * 1024

export interface IdentityOptions {
  readonly adminToken: string | null
  readonly tokens: Tokens
  readonly pool: pg.Pool
  readonly log: Pick<Logger, 'warn'>
  /** Bad tokens that an address may bring a minute before none of it is looked up. */
  readonly guesses?: number
  readonly now?: () => number
  /** Tells other processes that people or keys have changed. */
  readonly tell?: (() => Promise<void>) | undefined
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
  /** By the token's digest, the oldest first. */
  readonly #known = new Map<string, Identified>()
  /** The same, for as short, by the token itself, whose digest costs more than all else of finding it: of those who ask often. */
  readonly #recent = new Map<string, Identified>()
  #recentUntil = 0
  /** Digests of tokens that were good once, and are no guesses. */
  readonly #good = new Set<string>()
  readonly #guesses: Guesses
  #generation = 0

  constructor(options: IdentityOptions) {
    this.#options = options
    this.#admin = options.adminToken ? digest(options.adminToken) : null
    this.#now = options.now ?? Date.now
    this.#guesses = new Guesses(options.guesses ?? LIMITS.token.max, LIMITS.token.windowMs, this.#now)
  }

  /** Who brings a token that was found good a moment ago; null where it has to be looked for. */
  known(token: string): Principal | null {
    const now = this.#now()
    // No token is kept for longer than it is trusted, whoever asks.
    if (now >= this.#recentUntil) this.#recent.clear()
    const known = this.#recent.get(token)
    return known !== undefined && known.until > now ? known.principal : null
  }

  /**
   * @param address from where the token came; without, it is no guess
   * @returns null for a token that is not good
   * @throws {Problem} `forbidden` when it is, but nobody here is known by it; `rate_limited` where too many were none
   */
  async of(token: string, address: string | null = null): Promise<Principal | null> {
    const found = token.length > LONGEST_TOKEN ? null : await this.#of(token, address)
    if (found === null && address !== null) this.#guesses.failed(address)
    return found
  }

  async #of(token: string, address: string | null): Promise<Principal | null> {
    const digested = digest(token)
    // Digests have one length, so that the comparison takes the same time whatever was sent.
    if (this.#admin !== null && timingSafeEqual(digested, this.#admin)) {
      this.#remember(token, { principal: ADMIN, until: this.#now() + TRUSTED_MS })
      return ADMIN
    }
    const key = digested.toString('latin1')
    const known = this.#known.get(key)
    if (known !== undefined && known.until > this.#now()) {
      this.#remember(token, known)
      return known.principal
    }
    this.#known.delete(key)
    const generation = this.#generation
    const wait = address === null || this.#good.has(key) ? 0 : this.#guesses.wait(address)
    const found = await this.#find(token, wait)
    if (found === null) {
      this.#good.delete(key)
      if (wait > 0) throw tooMany(wait)
      return null
    }
    if (this.#good.size >= MOST_KNOWN) this.#good.delete(this.#good.values().next().value as string)
    this.#good.add(key)
    // What was looked up before a change is not kept after it.
    if (generation === this.#generation) this.#keep(key, found)
    return found.principal
  }

  /** To be called when people or keys have changed here: other processes are told. */
  async changed(): Promise<void> {
    this.forget()
    const { tell, log } = this.#options
    // Whoever does not hear of it takes what has changed for good until it is looked up again.
    await tell?.().catch(error => log.warn({ reason: messageOf(error) }, 'other processes are not told that people have changed'))
  }

  /** Whoever comes next is looked up anew. */
  forget(): void {
    this.#generation++
    this.#known.clear()
    this.#recent.clear()
  }

  /** What does not fit is found by its digest. */
  #remember(token: string, identified: Identified): void {
    const now = this.#now()
    if (now >= this.#recentUntil) {
      this.#recent.clear()
      this.#recentUntil = now + TRUSTED_MS
    }
    if (this.#recent.size < MOST_RECENT) this.#recent.set(token, identified)
  }

  #keep(key: string, { principal, until }: Identified): void {
    if (this.#known.size >= MOST_KNOWN) this.#known.delete(this.#known.keys().next().value as string)
    this.#known.set(key, { principal, until: Math.min(until, this.#now() + TRUSTED_MS) })
  }

  /** @param wait seconds for which keys are not looked up: a signature is a proof, and costs nothing */
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
    if (!isSecret(secret, row?.hash) || row === undefined || row.revoked_at !== null) return null
    const until = row.expires_at?.getTime() ?? Number.POSITIVE_INFINITY
    const principal = principalOf('key', row, row.owner)
    if (until <= this.#now() || principal === null || !isCovered(row)) return null
    // Beside the request: it is not kept waiting, and does not fail with it.
    pool
      .query(
        `UPDATE api_keys SET last_used_at = now() WHERE id = $1 AND (last_used_at < now() - interval '1 minute') IS NOT FALSE`,
        [id],
      )
      .catch((error: Error) => log.warn({ reason: error.message }, 'the last use of an API key was not noted'))
    return { principal, until }
  }

  /** Whether a subject of the CRM is the id of something of ours: then its bearer would act in another's name. */
  async #isOurs({ subject }: Token, isAccount: boolean): Promise<boolean> {
    if (subject === ADMIN_ID) return true
    if (!isGivenHere(subject)) return false
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
    // Ids that are given here are none of the CRM's subjects.
    if (!token.own && (await this.#isOurs(token, row !== undefined))) return null
    if (row === undefined) {
      if (token.own) return null
      return { principal: principalOfClaims(token.subject, token.claims), until: token.expiresAt }
    }
    if (row.disabled || (row.revoked && !isFrom(token.issuedAt, row.tokens_from))) return null
    const principal = principalOf('user', row, row.id)
    return principal === null ? null : { principal, until: token.expiresAt }
  }
}

function tooMany(seconds: number): Problem {
  return new Problem('rate_limited', `too many tokens from your address were none: try again in ${seconds} s`, {
    retryAfter: seconds,
  })
}

/** Whether its owner, as they are now, could still make a key like this one. */
function isCovered({ owner, owner_role, owner_regions, owner_venues, tenant, role, regions, venues }: KeyRow): boolean {
  if (owner === null) return true
  if (owner_role !== 'admin' && owner_role !== role) return false
  return within(scopeOf(tenant, owner_regions, owner_venues), scopeOf(tenant, regions, venues))
}

/** The id of an account that was not given one, or of a key; and the one of the installation's token. */
const GIVEN_HERE = /^(?:[a-z0-9][a-z0-9-]{0,49}:[0-9a-f]{18}|[0-9a-f]{16})$/

/** Whether an id has a form of those that are given here, so that nobody brings it along. */
export function isGivenHere(id: string): boolean {
  return id === ADMIN_ID || GIVEN_HERE.test(id)
}

/** A token that does not say when it was issued may be older. */
function isFrom(issuedAt: number | null, from: Date): boolean {
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

/** The installation's own token: everything of the tenant that is always there. */
const ADMIN: Principal = {
  id: ADMIN_ID,
  kind: 'token',
  name: 'ADMIN_TOKEN',
  role: 'admin',
  scope: { tenant: HOME_TENANT, regions: null, venues: null },
}

function principalOf(kind: 'user' | 'key', row: Row, account: string | null): Principal | null {
  const { id, tenant, name, role, regions, venues } = row
  return isRole(role) ? { id, kind, name, role, scope: scopeOf(tenant, regions, venues), account } : null
}

/** Somebody whom only the CRM knows, as its token says. @throws {Problem} when it does not say what is needed. */
function principalOfClaims(id: string, { role, tenant = HOME_TENANT, regions = null, venues = null }: JWTPayload): Principal {
  const refuse = (why: string) => new Problem('forbidden', `the token is good, but its subject has no account here, and ${why}`)
  if (!isRole(role)) throw refuse('its claim "role" is not one of the roles here')
  if (typeof tenant !== 'string' || !TENANT.test(tenant)) throw refuse('its claim "tenant" is not the name of one')
  if (!isListOrNull(regions) || !isListOrNull(venues)) throw refuse('its claims "regions" and "venues" have to be lists of texts')
  const scope = scopeOf(tenant, regions, venues)
  if (!isScoped(role, scope)) throw refuse('staff need the claim "venues" or "regions"')
  return { id, kind: 'user', name: id, role, scope }
}

/** Regions of venues are in lower case. */
function scopeOf(tenant: string, regions: readonly string[] | null, venues: readonly string[] | null): Scope {
  return { tenant, regions: regions?.map(region => region.trim().toLowerCase()) ?? null, venues }
}

/** Staff are of some venues, never of all. */
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
