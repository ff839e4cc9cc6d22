/** What tests of the server share: its options, and requests with the token. */
import type pg from 'pg'
import pino from 'pino'
import type { TestLog } from '../sinks/postgres/test-log.ts'
import type { ApiOptions } from './server.ts'

export const TOKEN = 'a-token-of-the-tests'

export function testOptions(log: TestLog, pool: pg.Pool): ApiOptions {
  return {
    host: '127.0.0.1',
    port: 0,
    adminToken: TOKEN,
    whatsapp: { appSecret: 'secret-of-the-app', verifyToken: 'verify-me' },
    tenantKey: 'key-of-the-tenant',
    log,
    codec: log.codec,
    pool,
    logger: pino({ level: 'silent' }),
    dependencies: {},
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: bodies of every form
  readonly body: any
  readonly text: string
}

export async function get(url: string, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${TOKEN}`, ...headers } })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : null, text }
}
