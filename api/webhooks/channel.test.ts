import { createHmac } from 'node:crypto'
import type pg from 'pg'
import pino from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { encodeCallbackData } from '../../connectors/whatsapp/callback-data.ts'
import { whatsappWebhook } from '../../connectors/whatsapp/webhook.ts'
import { conversationId, reference } from '../../domain/ids.ts'
import { withTimeout } from '../../domain/timeout.ts'
import { erasedRows } from '../../sinks/postgres/erasures.ts'
import { TestLog } from '../../sinks/testing/log.ts'
import { LogError } from '../../topics/log.ts'
import { type ApiServer, startApi } from '../server.ts'
import type { ApiChannel } from './channel.ts'

const SECRET = 'secret-of-the-app'
const TENANT_KEY = 'key-of-the-tenant'
const ACCOUNT = '106540352242922'
const NOK = '66812345678'

let log: TestLog
let api: ApiServer
const lines: string[] = []

const start = (channel: ApiChannel) =>
  startApi({
    host: '127.0.0.1',
    port: 0,
    adminToken: null,
    channels: [channel],
    tenantKey: TENANT_KEY,
    log,
    codec: log.codec,
    pool: {} as pg.Pool, // webhooks read no store
    erased: erasedRows({} as pg.Pool),
    logger: pino({ level: 'trace' }, { write: line => void lines.push(line) }),
    dependencies: {},
  })

beforeEach(async () => {
  lines.length = 0
  log = await TestLog.open()
  const webhook = whatsappWebhook({ appSecret: SECRET, verifyToken: 'verify-me' })
  api = await start({ name: 'whatsapp', account: null, webhook })
})

afterEach(() => api.close())

const sign = (body: string | Buffer) => `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`

function post(body: string | Buffer, signature: string | null = sign(body)): Promise<Response> {
  return fetch(`${api.url}/webhooks/whatsapp`, {
    method: 'POST',
    body: Buffer.from(body),
    headers: { 'content-type': 'application/json', ...(signature === null ? {} : { 'x-hub-signature-256': signature }) },
  })
}

const text = (id: string, body = 'เพลงดังไป') => ({ from: NOK, id, timestamp: '1749416383', type: 'text', text: { body } })

function webhook(value: object): string {
  const whole = {
    messaging_product: 'whatsapp',
    metadata: { display_phone_number: '15550783881', phone_number_id: ACCOUNT },
    contacts: [{ profile: { name: 'Nok' }, wa_id: NOK }],
    ...value,
  }
  return JSON.stringify({
    object: 'whatsapp_business_account',
    entry: [{ id: '1', changes: [{ field: 'messages', value: whole }] }],
  })
}

const inLog = () => ['conversation.inbox', 'whatsapp.inbox', 'dead.letters'].flatMap(topic => log.content(topic))

test("answers Meta's check with the challenge, and only Meta's", async () => {
  const check = (query: string) => fetch(`${api.url}/webhooks/whatsapp?${query}`)
  const ours = await check('hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=1158201444')
  expect([ours.status, await ours.text()]).toEqual([200, '1158201444'])
  expect(ours.headers.get('content-type')).toContain('text/plain')
  for (const query of ['hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1', 'hub.verify_token=verify-me', '']) {
    expect((await check(query)).status).toBe(403)
  }
})

test('a message is in the log, under its conversation, before it is answered', async () => {
  const answer = await post(webhook({ messages: [text('wamid.1')] }))
  expect(answer.status).toBe(200)
  expect(inLog()).toEqual([
    expect.objectContaining({
      topic: 'conversation.inbox',
      key: conversationId(TENANT_KEY, 'whatsapp', ACCOUNT, NOK),
      headers: { id: reference('wamid.1'), at: '1749416383000' },
      type: 'ChatMessage',
      value: expect.objectContaining({
        id: 'wamid.1',
        channel: 'whatsapp',
        account: ACCOUNT,
        text: 'เพลงดังไป',
        sentAt: 1749416383000,
      }),
    }),
  ])
})

test('the signature is over the bytes as they came', async () => {
  const escaped = webhook({ messages: [text('wamid.1')] }).replace(
    /[^\0-\x7f]/g,
    c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  expect(escaped).toContain('\\u0e')
  expect((await post(escaped)).status).toBe(200)
  expect(inLog()).toHaveLength(1)
  // The same JSON written anew is another body.
  expect((await post(JSON.stringify(JSON.parse(escaped)), sign(escaped))).status).toBe(401)
  expect(inLog()).toHaveLength(1)
})

test('without a good signature nothing is taken, and it is counted', async () => {
  const body = webhook({ messages: [text('wamid.1')] })
  const wrong = createHmac('sha256', 'other').update(body).digest('hex')
  for (const signature of [
    null,
    '',
    'sha256=',
    `sha256=${wrong}`,
    sign(body).toUpperCase(),
    sign(body).slice(7),
    `${sign(body)}0`,
  ]) {
    const answer = await post(body, signature)
    expect(answer.status).toBe(401)
    expect(await answer.json()).toMatchObject({ code: 'invalid_signature' })
  }
  expect((await post('{broken', null)).status).toBe(401)
  expect((await post('', null)).status).toBe(401)
  expect(inLog()).toEqual([])
  const metrics = await (await fetch(`${api.url}/metrics`)).text()
  expect(metrics).toContain('app_webhook_requests_total{channel="whatsapp",outcome="unauthorized"} 9')
})

test.each(['', '{broken', '"text"', '[]', '{}', 'null', '{"object":'])('a signed body of %j is 400', async body => {
  const answer = await post(body)
  expect(answer.status).toBe(400)
  expect(answer.headers.get('content-type')).toContain('application/problem+json')
  expect(await answer.json()).toMatchObject({ code: 'invalid_body' })
  expect(inLog()).toEqual([])
})

test('a body of 3 MB is taken, a larger one is 413', async () => {
  const limit = 3 * 1024 * 1024
  const body = webhook({ messages: [text('wamid.1')] })
  const padded = (length: number) => body + ' '.repeat(length - Buffer.byteLength(body))
  expect((await post(padded(limit))).status).toBe(200)
  const answer = await post(padded(limit + 1))
  expect(answer.status).toBe(413)
  expect(await answer.json()).toMatchObject({ code: 'payload_too_large' })
  expect(inLog()).toHaveLength(1)
})

test('the body is taken whatever its content type says', async () => {
  const body = webhook({ messages: [text('wamid.1')] })
  const answer = await fetch(`${api.url}/webhooks/whatsapp`, {
    method: 'POST',
    body: Buffer.from(body),
    headers: { 'x-hub-signature-256': sign(body) },
  })
  expect(answer.status).toBe(200)
})

test('five deliveries of a message carry one id, by which the conversation knows them', async () => {
  const body = webhook({ messages: [text('wamid.1')] })
  for (let i = 0; i < 5; i++) expect((await post(body)).status).toBe(200)
  expect(new Set(inLog().map(({ headers, key }) => `${key} ${headers.id} ${headers.at}`)).size).toBe(1)
})

test('the good parts of a webhook are taken, the malformed ones are dead letters', async () => {
  const body = webhook({
    messages: [text('wamid.1'), { from: NOK, timestamp: '1749416383', type: 'text' }, text('wamid.2'), 7],
    statuses: [{ id: 'wamid.9', status: 'read', timestamp: 'later', recipient_id: NOK }],
  })
  expect((await post(body)).status).toBe(200)
  expect(log.content('conversation.inbox').map(({ headers }) => headers.id)).toEqual([reference('wamid.1'), reference('wamid.2')])
  expect(log.content('whatsapp.inbox')).toEqual([])
  const letters = log
    .content('dead.letters')
    .map(({ value }) => value as { decision: string; key: string; value: Buffer; topic: string })
  expect(letters.map(({ decision, topic }) => `${decision} ${topic}`)).toEqual(Array(3).fill('REFUSED webhooks/whatsapp'))
  expect(letters.map(({ key }) => key).sort()).toEqual([
    'entry[0].changes[0].value.messages[1]',
    'entry[0].changes[0].value.messages[3]',
    'entry[0].changes[0].value.statuses[0]',
  ])
  expect(letters.map(({ value }) => value.toString())).toContain('7')
  const metrics = await (await fetch(`${api.url}/metrics`)).text()
  expect(metrics).toContain('app_webhook_parts_total{channel="whatsapp",part="message"} 2')
  expect(metrics).toContain('app_webhook_parts_total{channel="whatsapp",part="refused"} 3')
})

test('what is not about messages is 200 and leaves nothing', async () => {
  const other = JSON.stringify({
    object: 'whatsapp_business_account',
    entry: [{ id: '1', changes: [{ field: 'account_update', value: {} }] }],
  })
  expect((await post(other)).status).toBe(200)
  expect(inLog()).toEqual([])
})

test('a status goes to the conversation that it names, else to the recipient’s', async () => {
  const status = (id: string, more: object) => ({ id, status: 'delivered', timestamp: '1750857384', ...more })
  const body = webhook({
    statuses: [
      status('wamid.1', { recipient_id: NOK, biz_opaque_callback_data: encodeCallbackData('main:somewhere', 'attempt-1') }),
      status('wamid.2', { recipient_id: NOK }),
      status('wamid.3', {}),
    ],
  })
  expect((await post(body)).status).toBe(200)
  const taken = log.content('whatsapp.inbox').map(({ key, headers, type }) => ({ key, id: headers.id, at: headers.at, type }))
  expect(taken).toHaveLength(2)
  expect(taken).toEqual(
    expect.arrayContaining([
      { key: 'main:somewhere', id: `${reference('wamid.1')}:DELIVERED`, at: '1750857384000', type: 'DeliveryStatus' },
      {
        key: conversationId(TENANT_KEY, 'whatsapp', ACCOUNT, NOK),
        id: `${reference('wamid.2')}:DELIVERED`,
        at: '1750857384000',
        type: 'DeliveryStatus',
      },
    ]),
  )
  expect(log.content('dead.letters')).toHaveLength(1)
})

test('a refused part larger than a record is kept in part', async () => {
  const body = webhook({ messages: [{ id: 'wamid.1', timestamp: 'never', junk: 'x'.repeat(1024 * 1024) }] })
  expect((await post(body)).status).toBe(200)
  const letters = log.content('dead.letters').map(({ value }) => value as { value: Buffer })
  expect(letters.map(({ value }) => value.length)).toEqual([64 * 1024])
})

test('503 while the log takes nothing, and the same webhook is taken later', async () => {
  const body = webhook({ messages: [text('wamid.1')] })
  log.failing = new LogError('unavailable', 'disk full')
  const answer = await post(body)
  expect(answer.status).toBe(503)
  expect(answer.headers.get('retry-after')).not.toBeNull()
  expect(await answer.json()).toMatchObject({ code: 'unavailable' })
  expect(inLog()).toEqual([])
  log.failing = null
  expect((await post(body)).status).toBe(200)
  expect(inLog()).toHaveLength(1)
})

test('a fault while a webhook is read is no outage of the log: 500, with its stack in the service’s log', async () => {
  await api.close()
  const webhook = whatsappWebhook({ appSecret: SECRET, verifyToken: 'verify-me' })
  let fault: Error = new TypeError('a part that nobody thought of')
  const receive = () => Promise.reject(fault)
  api = await start({ name: 'whatsapp', account: null, webhook: { ...webhook, receive } })
  const answer = await post('{"object":"whatsapp_business_account"}')
  expect(answer.status).toBe(500)
  const logged = lines.map(line => JSON.parse(line)).find(({ err }) => err !== undefined)
  expect(logged?.err).toMatchObject({ message: fault.message, stack: expect.stringContaining('channel.test.ts') })
  fault = await withTimeout(new Promise<never>(() => {}), 1).catch((error: Error) => error)
  expect((await post('{"object":"whatsapp_business_account"}')).status).toBe(503)
  const metrics = await (await fetch(`${api.url}/metrics`)).text()
  for (const outcome of ['failed', 'unavailable'])
    expect(metrics).toContain(`app_webhook_requests_total{channel="whatsapp",outcome="${outcome}"} 1`)
})

test('nothing personal of a webhook is in the service’s log', async () => {
  await post(webhook({ messages: [text('wamid.1', 'a private matter')] }))
  log.failing = new LogError('unavailable', 'disk full')
  await post(webhook({ messages: [text('wamid.2', 'a private matter'), { from: NOK, timestamp: 'x' }] }))
  expect(lines.join('')).toContain('/webhooks/whatsapp')
  for (const personal of [NOK, 'private', 'Nok']) expect(lines.join('')).not.toContain(personal)
})
