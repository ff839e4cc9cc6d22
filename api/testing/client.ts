/** What tests of the server share: its options, tokens for every role, and requests. */
import { createSecretKey } from 'node:crypto'
import { SignJWT } from 'jose'
import type pg from 'pg'
import pino from 'pino'
import { whatsappWebhook } from '../../connectors/whatsapp/webhook.ts'
import { erasedRows } from '../../sinks/postgres/erasures.ts'
import type { TestLog } from '../../sinks/testing/log.ts'
import type { Role } from '../access/principal.ts'
import type { ApiOptions } from '../server.ts'

/** The installation's own token, with the role admin; it needs no database. */
export const TOKEN = 'a-token-of-the-tests'
/** Signs the CRM tokens of the tests. */
export const JWT_SECRET = 'a-secret-of-the-tests-and-their-crm'
const MANY = 1_000_000

export function testOptions(log: TestLog, pool: pg.Pool): ApiOptions {
  return {
    host: '127.0.0.1',
    port: 0,
    adminToken: TOKEN,
    jwt: { secret: JWT_SECRET },
    sessionKey: 'a-session-key-of-the-tests',
    limits: { search: MANY, status: MANY, sync: MANY, email: MANY, login: MANY, token: MANY, webhooks: MANY, other: MANY },
    channels: [
      {
        name: 'whatsapp',
        account: null,
        webhook: whatsappWebhook({ appSecret: 'secret-of-the-app', verifyToken: 'verify-me' }),
      },
    ],
    tenantKey: 'key-of-the-tenant',
    log,
    codec: log.codec,
    pool,
    erased: erasedRows(pool),
    logger: pino({ level: 'silent' }),
    dependencies: {},
  }
}

export interface Person {
  readonly role: Role
  readonly id?: string
  readonly tenant?: string
  /** All by default; staff need some venues or regions. */
  readonly venues?: readonly string[]
  readonly regions?: readonly string[]
}

/** A CRM token for a user without an account here, so that its claims apply. */
export function tokenFor({ id, ...claims }: Person): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(id ?? `crm-${claims.role}`)
    .setIssuedAt()
    .setExpirationTime('15m')
    .sign(createSecretKey(JWT_SECRET, 'utf8'))
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: bodies of every form
  readonly body: any
  readonly text: string
}

export function get(url: string, headers: Record<string, string> = {}): Promise<Answer> {
  return send('GET', url, { headers })
}

/** Sends a request, by default with TOKEN; null for no token. */
export async function send(
  method: string,
  url: string,
  options: { token?: string | null; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { token = TOKEN, body, headers } = options
  const response = await fetch(url, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : null, text }
}
