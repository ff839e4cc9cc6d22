/**
 * JSON Web Tokens: those of the CRM, and our own, issued at login. A token's type tells them apart, and each kind has its own keys,
 * algorithms, issuer and audience, so that neither is ever accepted as the other.
 */
import { MINUTE_MS } from '../../domain/time.ts'
import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import {
  createRemoteJWKSet,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
  SignJWT,
} from 'jose'
import { Problem } from '../problem.ts'
import { DEFAULT_TENANT } from '../../domain/tenants.ts'

/** How the CRM signs: with a shared secret (HS256), or with keys that it publishes (EdDSA, ES256, RS256). */
export interface JwtSettings {
  readonly secret?: string
  readonly jwksUrl?: string
  readonly issuer?: string
  readonly audience?: string
}

export interface Token {
  /** Issued here, not by the CRM. */
  readonly own: boolean
  /** The subject's tenant; null if the token names none. */
  readonly tenant: string | null
  readonly subject: string
  /** ms since the epoch; null if the token does not say. */
  readonly issuedAt: number | null
  readonly expiresAt: number
  /** Of our own tokens: when the holder logged in, ms since the epoch. */
  readonly since: number
  readonly claims: JWTPayload
}

/** The account that one of our tokens is issued to. */
export interface Holder {
  readonly tenant: string
  readonly id: string
}

export interface Issued {
  readonly token: string
  readonly expiresAt: Date
}

/** Lifetime of our access tokens. They can be renewed while they are valid. */
export const TOKEN_MS: number = 15 * MINUTE_MS
/** Maximum session length; after it a new login is required. */
export const SESSION_MS: number = 12 * 60 * MINUTE_MS
/** Longer-lived tokens of the CRM are refused: they could not be revoked. */
const MAX_CRM_LIFETIME_MS = 31 * 24 * 60 * MINUTE_MS
/** Tolerated difference between our clock and the CRM's. */
const CLOCK_TOLERANCE_S = 5
const JWKS_TIMEOUT_MS = 3_000
const OWN = { typ: 'bma+jwt', issuer: 'bma-social', audience: 'bma-social', algorithms: ['HS256'] }

/** Derives a key for one purpose from the installation's. */
export function deriveKey(sessionKey: Buffer | string, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', sessionKey, '', `bma-social ${purpose}`, 32)))
}

export class Tokens {
  readonly #own: KeyObject
  readonly #crm: { readonly keys: JWTVerifyGetKey; readonly algorithms: string[]; readonly settings: JwtSettings } | null

  /**
   * @param sessionKey signs our own tokens
   * @param jwt null if the CRM's tokens are not accepted
   * @throws if both a secret and published keys are given: a published key must never be used as a secret
   */
  constructor(sessionKey: Buffer | string, jwt: JwtSettings | null) {
    this.#own = deriveKey(sessionKey, 'access tokens')
    this.#crm = jwt === null ? null : { ...crmKeys(jwt), settings: jwt }
  }

  /** Issues an access token. @param since when the holder logged in; both times in ms since the epoch */
  async issue({ tenant, id }: Holder, issuedAt: number, since: number): Promise<Issued> {
    const expiresAt = Math.min(issuedAt + TOKEN_MS, since + SESSION_MS)
    const token = await new SignJWT({ since: since / 1000, tenant })
      .setProtectedHeader({ alg: 'HS256', typ: OWN.typ })
      .setIssuer(OWN.issuer)
      .setAudience(OWN.audience)
      .setSubject(id)
      .setIssuedAt(issuedAt / 1000)
      .setExpirationTime(expiresAt / 1000)
      .sign(this.#own)
    return { token, expiresAt: new Date(expiresAt) }
  }

  /** Verifies a token; null if it is not valid. @throws {Problem} `unavailable` if the CRM's keys cannot be fetched */
  async read(token: string): Promise<Token | null> {
    const typ = typeOf(token)
    if (typ === null) return null
    try {
      const own = typ === OWN.typ
      const claims = own ? await this.#readOwn(token) : await this.#readCrm(token)
      const subject = claims === null ? null : subjectOf(claims)
      if (claims === null || subject === null || !SUBJECT.test(subject)) return null
      const { iat, exp = 0, since, tenant = own ? null : DEFAULT_TENANT } = claims
      return {
        own,
        tenant: typeof tenant === 'string' ? tenant : null,
        subject,
        issuedAt: iat === undefined ? null : iat * 1000,
        expiresAt: exp * 1000,
        since: typeof since === 'number' ? since * 1000 : 0,
        claims,
      }
    } catch (error) {
      if (error instanceof errors.JOSEError) return null
      throw error
    }
  }

  async #readOwn(token: string): Promise<JWTPayload> {
    const { payload } = await jwtVerify(token, this.#own, { ...OWN, requiredClaims: ['sub', 'iat', 'exp', 'since', 'tenant'] })
    return payload
  }

  async #readCrm(token: string): Promise<JWTPayload | null> {
    if (this.#crm === null) return null
    const { keys, algorithms, settings } = this.#crm
    const { payload } = await jwtVerify(token, keys, {
      algorithms,
      clockTolerance: CLOCK_TOLERANCE_S,
      requiredClaims: ['exp'],
      ...(settings.issuer === undefined ? {} : { issuer: settings.issuer }),
      ...(settings.audience === undefined ? {} : { audience: settings.audience }),
    })
    return (payload.exp ?? 0) * 1000 > Date.now() + MAX_CRM_LIFETIME_MS ? null : payload
  }
}

/**
 * The user of a token. The CRM's own tokens name it in `user_id`, and their purpose in `token_type`: its refresh tokens have the same
 * signature and form as access tokens, and must be refused.
 */
function subjectOf({ sub, user_id: user, token_type: type }: JWTPayload): string | null {
  if (type !== undefined && type !== 'access') return null
  if (sub !== undefined || type === undefined) return typeof sub === 'string' ? sub : null
  return typeof user === 'string' || Number.isSafeInteger(user) ? String(user) : null
}

/** The type in a token's header, empty if there is none; null if the text is not a token. */
function typeOf(token: string): string | null {
  try {
    return decodeProtectedHeader(token).typ ?? ''
  } catch {
    return null
  }
}

/** Subjects are looked up, logged and stored. */
const SUBJECT = /^[\x21-\x7e]{1,200}$/

function crmKeys({ secret, jwksUrl }: JwtSettings): { keys: JWTVerifyGetKey; algorithms: string[] } {
  if ((secret === undefined) === (jwksUrl === undefined)) {
    throw new Error("set either JWT_SECRET or JWT_JWKS_URL to verify the CRM's tokens, not both")
  }
  if (secret !== undefined) {
    const key = createSecretKey(secret, 'utf8')
    return { keys: async () => key, algorithms: ['HS256'] }
  }
  const published = createRemoteJWKSet(new URL(jwksUrl as string), { timeoutDuration: JWKS_TIMEOUT_MS })
  const keys: JWTVerifyGetKey = async (header, token) => {
    try {
      return await published(header, token)
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) throw error
      throw new Problem('unavailable', "the CRM's signing keys cannot be fetched: try again", { cause: error })
    }
  }
  return { keys, algorithms: ['EdDSA', 'ES256', 'RS256'] }
}
