import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { recordSchema } from '../../schemas/index.ts'
import { encodeCallbackData, decodeCallbackData } from './callback-data.ts'
import { MAX_TEXT_CHARS, parseWebhook } from './parse.ts'
import { handshake, verifySignature } from './webhook.ts'

const RECEIVED = 1_750_000_000_000
const metadata = { display_phone_number: '15550783881', phone_number_id: '106540352242922' }
const body = (...values: object[]) => ({
  object: 'whatsapp_business_account',
  entry: [{ id: '1', changes: values.map(value => ({ field: 'messages', value: { metadata, ...value } })) }],
})
const message = (content: object) => ({ from: '66812345678', id: 'wamid.1', timestamp: '1749416383', ...content })
const text = (words: string, more: object = {}) => message({ type: 'text', text: { body: words }, ...more })
const parse = (...values: object[]) => parseWebhook(body(...values), RECEIVED)
const one = (content: object, contacts: object[] = []) => {
  const { messages, refused } = parse({ messages: [content], contacts })
  expect(refused).toEqual([])
  expect(messages).toHaveLength(1)
  recordSchema('ChatMessage').type.toBuffer(messages[0])
  return messages[0]
}

describe('the signature', () => {
  // Meta escapes non-ASCII: these bytes differ from the same JSON written by anyone else.
  const raw = Buffer.from('{"text":{"body":"\\u0e40\\u0e1e\\u0e25\\u0e07\\u0e14\\u0e31\\u0e07"}}')
  const sign = (bytes: Buffer, secret = 'app-secret') => 'sha256=' + createHmac('sha256', secret).update(bytes).digest('hex')

  it('is checked on the raw bytes', () => {
    expect(verifySignature('app-secret', raw, sign(raw))).toBe(true)
    const rewritten = Buffer.from(JSON.stringify(JSON.parse(raw.toString())))
    expect(rewritten.equals(raw)).toBe(false)
    expect(verifySignature('app-secret', rewritten, sign(raw))).toBe(false)
  })

  it.each([
    ['missing', undefined],
    ['empty', ''],
    ['of another secret', sign(raw, 'other')],
    ['without its prefix', sign(raw).slice(7)],
    ['cut', sign(raw).slice(0, -1)],
    ['longer', sign(raw) + '0'],
    ['of another method', sign(raw).replace('sha256', 'sha1__')],
    ['in characters of several bytes', 'sha256=' + 'é'.repeat(32)],
  ])('that is %s is refused', (_, header) => {
    expect(verifySignature('app-secret', raw, header)).toBe(false)
  })

  it('is refused while no secret is set', () => {
    expect(verifySignature('', raw, sign(raw, ''))).toBe(false)
  })
})

describe('the handshake', () => {
  const query = { 'hub.mode': 'subscribe', 'hub.verify_token': 'mine', 'hub.challenge': '1158201444' }
  it('answers the challenge as it came', () => expect(handshake(query, 'mine')).toBe('1158201444'))
  it.each([
    [{ ...query, 'hub.mode': 'unsubscribe' }, 'mine'],
    [{ ...query, 'hub.verify_token': 'other' }, 'mine'],
    [{ ...query, 'hub.verify_token': '' }, ''],
    [{ ...query, 'hub.challenge': ['1', '2'] }, 'mine'],
    [{}, 'mine'],
  ])('refuses %j', (asked, token) => expect(handshake(asked, token)).toBeNull())
})

describe('the callback data', () => {
  it('names conversation and attempt, whatever the conversation contains', () => {
    expect(decodeCallbackData(encodeCallbackData('main:a/b+c=', 'attempt-1'))).toEqual({
      conversation: 'main:a/b+c=',
      attempt: 'attempt-1',
    })
  })
  it.each([[undefined], ['out-1'], ['/a'], ['c/'], [7]])('of others (%j) is none of ours', value => {
    expect(decodeCallbackData(value)).toBeNull()
  })
})

describe('a webhook', () => {
  it('is read to the last message of the last change of the last entry', () => {
    const two = body({ messages: [text('a', { id: 'w1' }), text('b', { id: 'w2' })] }, { messages: [text('c', { id: 'w3' })] })
    const more = body({ messages: [text('d', { id: 'w4' })], statuses: [{ id: 'w9', status: 'sent', timestamp: '1' }] })
    const { messages, statuses, refused } = parseWebhook({ ...two, entry: [...two.entry, ...more.entry] }, RECEIVED)
    expect(messages.map(m => [m.id, m.text])).toEqual([
      ['w1', 'a'],
      ['w2', 'b'],
      ['w3', 'c'],
      ['w4', 'd'],
    ])
    expect(statuses).toHaveLength(1)
    expect(refused).toEqual([])
  })

  it('gives each text its sender, account and times', () => {
    const contacts = [
      { profile: { name: 'Somchai' }, wa_id: '66812345678' },
      { profile: { name: 'Other' }, wa_id: '66811111111' },
    ]
    expect(one(text('เพลงดังไป', { context: { id: 'wamid.0' } }), contacts)).toEqual({
      id: 'wamid.1',
      channel: 'whatsapp',
      account: '106540352242922',
      chat: '66812345678',
      sender: { id: '66812345678', phone: '66812345678', name: 'Somchai' },
      kind: 'TEXT',
      text: 'เพลงดังไป',
      actionId: null,
      replyTo: 'wamid.0',
      sentAt: 1_749_416_383_000,
      receivedAt: RECEIVED,
      truncated: false,
      chatKind: 'PRIVATE',
      attachments: [],
    })
  })

  it('names the files of a message, which stay with the provider', () => {
    const file = { id: 'media-1', mime_type: 'application/pdf', filename: 'menu.pdf', file_size: 2_048, sha256: 'x' }
    expect(one({ ...text('x'), type: 'document', document: file })?.attachments).toEqual([
      { id: 'media-1', mimeType: 'application/pdf', fileName: 'menu.pdf', bytes: 2_048 },
    ])
    const voice = one({ ...text('x'), type: 'audio', audio: { id: 'media-2', voice: true } })
    expect(voice?.attachments).toEqual([{ id: 'media-2', mimeType: null, fileName: null, bytes: null }])
    expect(one({ ...text('x'), type: 'image', image: { caption: 'no id' } })?.attachments).toEqual([])
  })

  it.each([
    [
      'BUTTON',
      'Yes',
      'venue:42:yes',
      { type: 'interactive', interactive: { type: 'button_reply', button_reply: { id: 'venue:42:yes', title: 'Yes' } } },
    ],
    [
      'LIST',
      'Lobby',
      'zone:a',
      { type: 'interactive', interactive: { type: 'list_reply', list_reply: { id: 'zone:a', title: 'Lobby' } } },
    ],
    ['BUTTON', 'Fine', 'ack:1', { type: 'button', button: { payload: 'ack:1', text: 'Fine' } }],
    ['OTHER', null, null, { type: 'interactive', interactive: { type: 'nfm_reply', nfm_reply: {} } }],
    ['REACTION', '👍', null, { type: 'reaction', reaction: { message_id: 'wamid.0', emoji: '👍' } }],
    ['REACTION', null, null, { type: 'reaction', reaction: { message_id: 'wamid.0' } }],
    ['MEDIA', 'the pool', null, { type: 'image', image: { id: '1', caption: 'the pool' } }],
    ['MEDIA', null, null, { type: 'audio', audio: { id: '1', voice: true } }],
    ['STICKER', null, null, { type: 'sticker', sticker: {} }],
    ['LOCATION', null, null, { type: 'location', location: {} }],
    ['CONTACT', null, null, { type: 'contacts', contacts: [] }],
    ['OTHER', null, null, { type: 'order', order: {} }],
    ['UNKNOWN', null, null, { type: 'unsupported', errors: [{ code: 131051 }] }],
    ['UNKNOWN', null, null, { type: 'hologram', hologram: { depth: 3 } }],
    ['UNKNOWN', null, null, { type: 'constructor' }],
  ] as const)('reads %s %s', (kind, words, actionId, content) => {
    expect(one(message(content))).toMatchObject({ kind, text: words, actionId })
  })

  it('knows a sender without a phone by the business-scoped id', () => {
    const contacts = [{ profile: { name: 'Nok' }, user_id: 'TH.1349' }]
    const expected = { chat: 'TH.1349', sender: { id: 'TH.1349', phone: null, name: 'Nok' } }
    expect(one(text('a', { from: undefined, from_user_id: 'TH.1349' }), contacts)).toMatchObject(expected)
    expect(one(text('a', { from: undefined }), contacts)).toMatchObject(expected)
    expect(one(text('a', { from_user_id: 'TH.1349' }), contacts)).toMatchObject({ chat: '66812345678' })
    expect(one(text('a', { from: '+66 81-234-5678' }))).toMatchObject({ chat: '66812345678' })
  })

  it('keeps a text of 5,000 characters and cuts a longer one between characters', () => {
    expect(one(text('ก'.repeat(MAX_TEXT_CHARS)))).toMatchObject({ text: 'ก'.repeat(5000), truncated: false })
    expect(one(text('a'.repeat(4999) + '😀'))).toMatchObject({ text: 'a'.repeat(4999), truncated: true })
  })

  it.each([
    ['no id', { id: undefined }, 'id is missing, not a short text'],
    ['an empty id', { id: '' }, 'id is empty, not a short text'],
    ['an endless id', { id: 'w'.repeat(5000) }, 'id is 5000 characters long, not a short text'],
    ['no sender', { from: undefined }, 'the user is missing, not a short text'],
    ['no type', { type: undefined }, 'type is missing, not a short text'],
    ['a time of another kind', { timestamp: 'yesterday' }, 'timestamp is 9 characters long, not in unix seconds'],
    ['no content', { text: undefined }, 'text is missing, not an object'],
    ['a text that is a number', { text: { body: 7 } }, 'text.body is a number, not a text'],
  ])('refuses a message with %s and reads those beside it', (_, wrong, reason) => {
    const { messages, refused } = parse({ messages: [text('a'), text('b', wrong), text('c')] })
    expect(messages.map(m => m.text)).toEqual(['a', 'c'])
    expect(refused).toEqual([{ path: 'entry[0].changes[0].value.messages[1]', reason, part: text('b', wrong) }])
  })

  it.each([
    [null, ''],
    ['text', ''],
    [{}, ''],
    [{ entry: [7] }, 'entry[0]'],
    [{ entry: [{ changes: 7 }] }, 'entry[0].changes'],
    [{ entry: [{ changes: [{ field: 'messages' }] }] }, 'entry[0].changes[0]'],
    [{ entry: [{ changes: [{ field: 'messages', value: { messages: [text('a')] } }] }] }, 'entry[0].changes[0]'],
    [body({ messages: 'none' }), 'entry[0].changes[0].value.messages'],
  ])('refuses the malformed part of %j', (broken, path) => {
    expect(parseWebhook(broken, RECEIVED)).toMatchObject({ messages: [], statuses: [], refused: [{ path }] })
  })

  it('tolerates fields, notices and errors that are not for us', () => {
    const system = message({ type: 'system', system: { body: 'changed number', type: 'user_changed_number' } })
    const other = { field: 'account_update', value: 7 }
    const { messages, statuses, refused } = parseWebhook(
      { entry: [{ changes: [other, ...(body({ messages: [system], errors: [{ code: 1 }] }).entry[0]?.changes ?? [])] }, {}] },
      RECEIVED,
    )
    expect([messages, statuses, refused]).toEqual([[], [], []])
  })
})

describe('a status', () => {
  const read = (status: object) => {
    const { statuses, refused } = parse({
      statuses: [{ id: 'wamid.7', timestamp: '1750857384', recipient_id: '66812345678', ...status }],
    })
    expect(refused).toEqual([])
    recordSchema('DeliveryStatus').type.toBuffer(statuses[0]?.status)
    return statuses[0]
  }

  it('names the conversation and the attempt of the send', () => {
    expect(read({ status: 'delivered', biz_opaque_callback_data: encodeCallbackData('main:c1', 'a1') })).toEqual({
      status: { providerId: 'wamid.7', attempt: 'a1', status: 'DELIVERED', at: 1_750_857_384_000, errorCode: null, error: null },
      conversation: 'main:c1',
      recipient: '66812345678',
      account: '106540352242922',
    })
  })

  it('that was not ours names only the recipient', () => {
    expect(read({ status: 'sent' })).toMatchObject({ conversation: null, recipient: '66812345678', status: { attempt: null } })
    const scoped = { status: 'sent', recipient_id: undefined, recipient_user_id: 'TH.1' }
    expect(read(scoped)).toMatchObject({ recipient: 'TH.1' })
  })

  it.each([
    ['sent', 'SENT'],
    ['read', 'READ'],
    ['played', 'READ'],
    ['failed', 'FAILED'],
    ['warning', 'UNKNOWN'],
    ['toString', 'UNKNOWN'],
  ])('%s is %s', (written, status) => expect(read({ status: written })?.status.status).toBe(status))

  it('of a failure has its code and the most telling words', () => {
    const errors = [{ code: 131047, title: 'Re-engagement', message: 'short', error_data: { details: 'More than 24 hours' } }]
    expect(read({ status: 'failed', errors })?.status).toMatchObject({ errorCode: 131047, error: 'More than 24 hours' })
    expect(read({ status: 'failed', errors: [{ code: 'x', title: 'T' }] })?.status).toMatchObject({ errorCode: null, error: 'T' })
  })

  it('that is malformed is refused, those beside it are read', () => {
    const good = { id: 'w', status: 'read', timestamp: '1' }
    const { statuses, refused } = parse({ statuses: [good, { ...good, id: 7 }, { ...good, timestamp: undefined }, good] })
    expect(statuses).toHaveLength(2)
    expect(refused.map(part => part.path)).toEqual([
      'entry[0].changes[0].value.statuses[1]',
      'entry[0].changes[0].value.statuses[2]',
    ])
  })
})
