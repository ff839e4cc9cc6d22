import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FakeWhatsApp, startFakeWhatsApp } from './fake.ts'
import { parseWebhook } from './parse.ts'
import { handshake, verifySignature } from './webhook.ts'

const ACCOUNT = { phoneNumberId: '106540352242922', accessToken: 'token', appSecret: 'secret', verifyToken: 'verify' }
let fake: FakeWhatsApp
let receiver: Server
/** Bodies of webhooks whose signature was good. */
let received: Buffer[]
let failures: number

beforeEach(async () => {
  received = []
  failures = 0
  receiver = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const raw = Buffer.concat(chunks)
    const url = new URL(request.url ?? '', 'http://receiver')
    if (request.method === 'GET') {
      const challenge = handshake(Object.fromEntries(url.searchParams), 'verify')
      return void response.writeHead(challenge === null ? 403 : 200).end(challenge ?? '')
    }
    if (!verifySignature('secret', raw, request.headers['x-hub-signature-256'] as string | undefined)) {
      return void response.writeHead(401).end()
    }
    if (failures-- > 0) return void response.writeHead(503).end()
    received.push(raw)
    response.writeHead(200).end()
  })
  await new Promise<void>(resolve => receiver.listen(0, '127.0.0.1', resolve))
  const webhookUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/webhooks/whatsapp`
  fake = await startFakeWhatsApp({ ...ACCOUNT, webhookUrl, statusDelayMs: 1 })
})
afterEach(async () => {
  await fake.close()
  receiver.closeAllConnections()
  await new Promise(resolve => receiver.close(resolve))
})

const parsed = () => received.map(raw => parseWebhook(JSON.parse(raw.toString()), 0))
const messages = () => parsed().flatMap(webhook => webhook.messages)
const statuses = () => parsed().flatMap(webhook => webhook.statuses)
const text = {
  messaging_product: 'whatsapp',
  to: '66812345678',
  type: 'text',
  text: { body: 'Hello' },
  biz_opaque_callback_data: 'c/a',
}
const send = (body: object, token = 'token', id = ACCOUNT.phoneNumberId) =>
  fetch(`${fake.url}/${id}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  })

describe('the fake', () => {
  it('delivers messages signed on escaped bytes, as often as asked', async () => {
    const { id, answers } = await fake.deliver({ text: 'เพลงดังไป', times: 2 })
    expect(answers).toEqual([200, 200])
    expect(received[0]?.toString()).toContain('\\u0e40')
    expect(messages().map(m => [m.id, m.text])).toEqual([
      [id, 'เพลงดังไป'],
      [id, 'เพลงดังไป'],
    ])
  })

  it('delivers every kind of message', async () => {
    await fake.deliver({ button: { id: 'b', title: 'Yes' }, replyTo: 'wamid.0' })
    await fake.deliver({ list: { id: 'l', title: 'Lobby' } })
    await fake.deliver({ sticker: true })
    await fake.deliver({ reaction: '👍' })
    await fake.deliver({ other: { type: 'poll', poll: {} }, userId: 'TH.1' })
    expect(messages().map(m => [m.kind, m.actionId, m.chat])).toEqual([
      ['BUTTON', 'b', '66812345678'],
      ['LIST', 'l', '66812345678'],
      ['STICKER', null, '66812345678'],
      ['REACTION', null, '66812345678'],
      ['UNKNOWN', null, 'TH.1'],
    ])
  })

  it('posts what is signed wrongly, not at all, or is no JSON', async () => {
    expect(await fake.post({}, 'wrong')).toBe(401)
    expect(await fake.post({}, 'none')).toBe(401)
    expect(await fake.post('{"half":')).toBe(200)
    expect(received.map(String)).toEqual(['{"half":'])
  })

  it('asks for the handshake', async () => {
    expect(await fake.subscribe('1158201444')).toEqual({ status: 200, body: '1158201444' })
  })

  it('reports the statuses of what it took, with the callback data, until they are received', async () => {
    failures = 2
    await send(text)
    await fake.waitFor(() => statuses().length === 3)
    expect(statuses().map(s => [s.status.status, s.conversation, s.status.attempt, s.status.providerId])).toEqual(
      ['SENT', 'DELIVERED', 'READ'].map(status => [status, 'c', 'a', fake.sent[0]?.id]),
    )
    fake.fault({ kind: 'fail_later', code: 131026 })
    await send(text)
    await fake.waitFor(() => statuses().length === 4)
    expect(statuses()[3]?.status).toMatchObject({ status: 'FAILED', errorCode: 131026 })
  })

  it.each([
    ['a bad token', () => send(text, 'other'), 401, 190],
    ['another number', () => send(text, 'token', '1'), 400, 100],
    ['no recipient', () => send({ ...text, to: '' }), 400, 100],
    ['a text too long', () => send({ ...text, text: { body: 'a'.repeat(4097) } }), 400, 131009],
    ['an unknown type', () => send({ ...text, type: 'hologram' }), 400, 131051],
    [
      'four buttons',
      () =>
        send({
          ...text,
          type: 'interactive',
          interactive: {
            type: 'button',
            body: { text: 'a' },
            action: { buttons: [1, 2, 3, 4].map(n => ({ reply: { id: `${n}`, title: `${n}` } })) },
          },
        }),
      400,
      131009,
    ],
  ])('refuses %s', async (_, attempt, status, code) => {
    const response = await attempt()
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ error: { code, type: 'OAuthException' } })
    expect(fake.sent).toEqual([])
  })

  it('gives up waiting for what does not happen', async () => {
    await expect(fake.waitFor(() => false, 20)).rejects.toThrow(/0 messages were taken/)
  })
})
