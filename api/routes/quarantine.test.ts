import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../../sinks/postgres/testing/postgres.ts'
import { TestLog } from '../../sinks/testing/log.ts'
import { type ApiServer, startApi } from '../server.ts'
import { get, send, testOptions } from '../testing/client.ts'
import { fill } from '../testing/fixture.ts'

let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let api: ApiServer

beforeAll(async () => {
  postgres = await startTestPostgres({ statementTimeoutMs: 5_000 })
  pool = postgres.pool
  log = await TestLog.open()
  const letter = (offset: number, bytes?: number) => ({
    topic: 'venue.inbox',
    partition: 0,
    offset,
    key: 'main:v1',
    recordType: 'VenueRefresh',
    value: Buffer.alloc(100),
    decision: 'PARK' as const,
    cause: 'told to fail',
    at: 1_750_000_000_000,
    ...(bytes === undefined ? {} : { bytes }),
  })
  await log.put('dead.letters', 'main:v1', 'DeadLetter', letter(7))
  await log.put('dead.letters', 'main:v1', 'DeadLetter', letter(8, 520_000))
  await fill(log, pool)
  api = await startApi(testOptions(log, pool))
})

afterAll(async () => {
  await api.close()
  await postgres.close()
})

const idOf = async (offset: number) => {
  const { body } = await get(`${api.url}/api/v1/quarantine?topic=venue.inbox`)
  return body.items.find((item: { offset: number }) => item.offset === offset).id as string
}
const redriven = () => log.content('venue.inbox').filter(r => r.type === 'Redrive')

test('a truncated record shows its full size', async () => {
  expect((await get(`${api.url}/api/v1/quarantine/${await idOf(7)}`)).body.bytes).toBeNull()
  expect((await get(`${api.url}/api/v1/quarantine/${await idOf(8)}`)).body.bytes).toBe(520_000)
})

test('a truncated record is not retried as stored, but may be sent whole, or dropped', async () => {
  const url = `${api.url}/api/v1/quarantine/${await idOf(8)}`
  const headers = { prefer: 'wait=0' }
  const refused = await send('POST', `${url}/redrive`, { body: {} })
  expect([refused.status, refused.body.code]).toEqual([409, 'conflict'])
  expect(refused.body.detail).toMatch(/only the first 100 of 520000 bytes .*read from venue.inbox\/0\/8, or drop it/)
  expect(redriven()).toEqual([])
  const value = { id: 'r1', by: 'p', at: 1 }
  expect((await send('POST', `${url}/redrive`, { body: { value }, headers })).status).toBe(202)
  expect((await send('POST', `${url}/drop`, { body: {}, headers })).status).toBe(202)
  expect((await send('POST', `${api.url}/api/v1/quarantine/${await idOf(7)}/redrive`, { body: {}, headers })).status).toBe(202)
  expect(redriven().map(r => r.value)).toMatchObject([
    { offset: 8, drop: false },
    { offset: 8, drop: true },
    { offset: 7, drop: false, value: null },
  ])
})
