/**
 * JSON Web Tokens: those that the CRM issues, and our own, which somebody gets who logs in here. Which of the two a token is says
 * its type, and each has its own keys, algorithms, issuer and audience: what is signed for one is never good for the other.
 */
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
import { HOME_TENANT } from './principal.ts'

/** How the CRM signs: with a secret we share (HS256), or with keys that it publishes (EdDSA, ES256, RS256). */
export interface JwtSettings {
  readonly secret?: string
  readonly jwksUrl?: string
  readonly issuer?: string
  readonly audience?: string
}

export interface Token {
  /** Ours, not the CRM's. */
  readonly own: boolean
  /** Of which tenant the subject is; null where it does not say, or not as a text. */
  readonly tenant: string | null
  readonly subject: string
  /** ms since the epoch; null where it does not say. */
  readonly issuedAt: number | null
  readonly expiresAt: number
  /** When its holder logged in, ms since the epoch; of our own. */
  readonly since: number
  readonly claims: JWTPayload
}

/** Whose a token of ours is: an account of a tenant. */
export interface Holder {
  readonly tenant: string
  readonly id: string
}

export interface Issued {
  readonly token: string
  readonly expiresAt: Date
}

const MINUTE = 60 * 1000
/** An access token of ours is good for so long, and renewed while it is. */
export const TOKEN_MS: number = 15 * MINUTE
/** So long after logging in one logs in again. */
export const SESSION_MS: number = 12 * 60 * MINUTE
/** A token of the CRM that is good for longer is taken for a mistake. */
const LONGEST_MS = 31 * 24 * 60 * MINUTE
/** Clocks may differ by so much, seconds. */
const TOLERANCE = 5
const JWKS_TIMEOUT_MS = 3_000
const OWN = { typ: 'bma+jwt', issuer: 'bma-social', audience: 'bma-social', algorithms: ['HS256'] }

/** A key for one purpose, made of the installation's. */
export function deriveKey(sessionKey: Buffer | string, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', sessionKey, '', `bma-social ${purpose}`, 32)))
}

export class Tokens {
  readonly #own: KeyObject
  readonly #crm: { readonly keys: JWTVerifyGetKey; readonly algorithms: string[]; readonly settings: JwtSettings } | null

  /**
   * @param sessionKey signs our own
   * @param jwt null where no CRM's tokens are taken
   * @throws when both a secret and published keys are given: a published key must never be taken for a secret
   */
  constructor(sessionKey: Buffer | string, jwt: JwtSettings | null) {
    this.#own = deriveKey(sessionKey, 'access tokens')
    this.#crm = jwt === null ? null : { ...crmKeys(jwt), settings: jwt }
  }

  /** An access token of ours. @param since when its holder logged in; both times in ms since the epoch. */
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

  /** What a token says, once its signature and its times are found good; null otherwise. @throws {Problem} when the CRM's keys cannot be had. */
  async read(token: string): Promise<Token | null> {
    const typ = typeOf(token)
    if (typ === null) return null
    try {
      const own = typ === OWN.typ
      const claims = own ? await this.#readOwn(token) : await this.#readCrm(token)
      const subject = claims === null ? null : subjectOf(claims)
      if (claims === null || subject === null || !SUBJECT.test(subject)) return null
      const { iat, exp = 0, since, tenant = own ? null : HOME_TENANT } = claims
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
      clockTolerance: TOLERANCE,
      requiredClaims: ['exp'],
      ...(settings.issuer === undefined ? {} : { issuer: settings.issuer }),
      ...(settings.audience === undefined ? {} : { audience: settings.audience }),
    })
    // A token for ever is one that nobody can take back.
    return (payload.exp ?? 0) * 1000 > Date.now() + LONGEST_MS ? null : payload
  }
}

/**
 * Whose a token is: the CRM's own say it in `user_id`, with what they are for in `token_type`. One for renewing has the signature and
 * the form of one for asking, and is none.
 */
function subjectOf({ sub, user_id: user, token_type: type }: JWTPayload): string | null {
  if (type !== undefined && type !== 'access') return null
  if (sub !== undefined || type === undefined) return typeof sub === 'string' ? sub : null
  return typeof user === 'string' || Number.isSafeInteger(user) ? String(user) : null
}

/** The type that a token's header names, empty where it names none; null for a text that is no token. */
function typeOf(token: string): string | null {
  try {
    return decodeProtectedHeader(token).typ ?? ''
  } catch {
    return null
  }
}

/** What a subject may be: it is looked up, logged and kept. */
const SUBJECT = /^[\x21-\x7e]{1,200}$/

function crmKeys({ secret, jwksUrl }: JwtSettings): { keys: JWTVerifyGetKey; algorithms: string[] } {
  if ((secret === undefined) === (jwksUrl === undefined)) {
    throw new Error("the CRM's tokens are verified either with a secret (JWT_SECRET) or with published keys (JWT_JWKS_URL)")
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
      throw new Problem('unavailable', "the keys of the CRM's tokens cannot be had now", { cause: error })
    }
  }
  return { keys, algorithms: ['EdDSA', 'ES256', 'RS256'] }
}
