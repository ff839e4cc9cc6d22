/** Who may change what decides whose music plays and who is trusted. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../sinks/postgres/embedded.ts'
import { migrate } from '../../sinks/postgres/migrate.ts'
import { openPool } from '../../sinks/postgres/pool.ts'
import { TestLog } from '../../sinks/test-log.ts'
import { type ApiServer, startApi } from '../server.ts'
import { send, testOptions, tokenFor } from '../test-client.ts'
import { fill } from './fixture.ts'

const quiet = { info: () => {}, warn: () => {} }
const NO_WAIT = { prefer: 'wait=0' }
let dataDir: string
let server: EmbeddedPostgres
let pool: pg.Pool
let log: TestLog
let api: ApiServer

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'rights-'))
  server = await startEmbeddedPostgres({ dataDir, log: quiet })
  pool = openPool({ url: server.url, log: quiet, statementTimeoutMs: 5_000 })
  await migrate(pool)
  log = await TestLog.open()
  await fill(log, pool)
  await pool.query("UPDATE venues SET soundtrack_account_id = 'QWNjMg==', soundtrack_location_id = 'TG9jMg' WHERE id = 'main:v2'")
  await pool.query("UPDATE venues SET removed = true, soundtrack_account_id = 'QWNjNA==' WHERE id = 'main:v4'")
  api = await startApi(testOptions(log, pool))
})

afterAll(async () => {
  await api.close()
  await pool.end()
  await server.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

describe('an override of whose music plays, or who is trusted', () => {
  const given = () => log.content('venue.inbox').filter(r => r.type === 'VenueOverride').length
  const force = (field: string, value: unknown, token?: string) =>
    send('PUT', `${api.url}/api/v1/venues/main:v1/overrides/${field}`, {
      body: { value },
      headers: NO_WAIT,
      ...(token === undefined ? {} : { token }),
    })

  test.each(['soundtrackAccount', 'soundtrackLocation', 'contactPhone'])(
    '%s is for those who see the whole installation',
    async field => {
      const before = given()
      for (const person of [
        { role: 'agent', venues: ['main:v1'] },
        { role: 'admin', regions: ['phuket'] },
        { role: 'agent', venues: ['main:v1', 'main:v2'] },
      ] as const) {
        const token = await tokenFor(person)
        expect(await force(field, 'x', token)).toMatchObject({ status: 403, body: { code: 'forbidden' } })
        const taken = await send('DELETE', `${api.url}/api/v1/venues/main:v1/overrides/${field}`, { token, headers: NO_WAIT })
        expect(taken.status).toBe(403)
        expect((await force('notes', 'x', token)).status).toBe(202)
      }
      expect(given()).toBe(before + 3)
      expect((await force(field, 'x', await tokenFor({ role: 'agent' }))).status).toBe(202)
    },
  )

  test('to an account or a location that another venue has is refused, saying whose it is', async () => {
    const before = given()
    for (const [field, value] of [
      ['soundtrackAccount', 'QWNjMg=='],
      ['soundtrackAccount', ' QWNjMg '],
      ['soundtrackLocation', 'TG9jMg=='],
    ] as const) {
      const { status, body } = await force(field, value)
      expect([status, body.code, body.detail]).toEqual([409, 'conflict', expect.stringContaining('main:v2')])
    }
    expect(given()).toBe(before)
    for (const [field, value] of [
      ['soundtrackAccount', 'QWNjOQ=='],
      ['soundtrackAccount', 'QWNjNA=='], // of a venue that has gone
      ['soundtrackAccount', null],
      ['contactPhone', '+66 80 000 0001'], // a person may have several venues
    ] as const)
      expect([field, value, (await force(field, value)).status]).toEqual([field, value, 202])
  })
})
