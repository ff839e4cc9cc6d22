import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { selectRows } from './client.ts'
import { DOCUMENT, fill, QUESTIONS, randomOf, type Servers, startServers } from './testing/fixture.ts'
import { reconcile } from './reconcile.ts'
import { clickhouseStore } from './store.ts'
import { worldOf } from './testing/world.ts'

const FOREVER = Date.UTC(2100, 0, 1)
let servers: Servers

beforeAll(async () => {
  servers = await startServers()
  const store = clickhouseStore({ client: servers.client, pool: servers.pool })
  await fill(store, worldOf(servers.codec), randomOf(1))
})
afterAll(() => servers.stop())

test('the document has its questions', () => {
  expect(QUESTIONS.length).toBe(DOCUMENT.match(/^### \d/gm)?.length)
  expect(QUESTIONS.length).toBeGreaterThanOrEqual(12)
})

test.each(QUESTIONS)('$question', async ({ sql, answer }) => {
  const result = await servers.client.exec({ query: `${sql} FORMAT Markdown` })
  expect(await text(result.stream)).toBe(answer)
})

test('the roll-ups say what the rows say, and a difference is told', async () => {
  expect(await reconcile(servers.client, FOREVER)).toEqual([])
  await servers.client.command({
    query: `INSERT INTO conversation_events (event_id, conversation_id, channel, kind, message_id, at, logged_at)
      SELECT event_id, conversation_id, channel, kind, 'another', at, logged_at FROM conversation_events WHERE kind = 'message_in' LIMIT 1`,
  })
  await servers.client.command({
    query: "ALTER TABLE conversation_events DELETE WHERE message_id = 'another' SETTINGS mutations_sync = 1",
  })
  const differences = await reconcile(servers.client, FOREVER)
  expect(differences).toMatchObject([{ rollup: 'messages_hourly', raw: '', rolled: '(1,1)' }])
})

test('what people wrote, and who they are, is in no table', async () => {
  const tables = await selectRows<{ name: string }>(
    servers.client,
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name NOT LIKE '%ly'",
  )
  const rows = await Promise.all(tables.map(({ name }) => selectRows(servers.client, `SELECT * FROM ${name}`)))
  expect(rows.flat().length).toBeGreaterThan(100)
  expect(JSON.stringify(rows)).not.toMatch(/too loud|Somebody|66-|provider-|เพลง/)
})
