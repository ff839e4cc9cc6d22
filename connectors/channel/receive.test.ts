import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { conversationId, reference } from '../../domain/ids.ts'
import { codec } from '../../engine/testing/testkit.ts'
import type { ChatMessageInput, DeliveryStatusInput } from '../../schemas/types.ts'
import { defineTopic, whatsappInbox } from '../../topics/catalog.ts'
import type { Append, Log } from '../../topics/log.ts'
import { whatsappChannel } from '../whatsapp/channel.ts'
import { receive } from './receive.ts'
import type { ParsedStatus, ParsedWebhook } from './webhook.ts'

const AT = 1_750_000_000_000
const KEY = 'key-of-the-tenant'
const inbox = defineTopic('pigeon.inbox', 'conversation', whatsappInbox.records)
const pigeon = { ...whatsappChannel, name: 'pigeon', inbox }
await codec.add(inbox)

const message: ChatMessageInput = {
  id: 'feather-1',
  channel: 'pigeon',
  account: '7',
  chat: 'loft',
  sender: { id: 'loft' },
  kind: 'TEXT',
  text: 'too loud',
  sentAt: AT,
  receivedAt: AT,
}
const status: DeliveryStatusInput = { providerId: 'sent-1', status: 'DELIVERED', at: AT }
const nowhere: ParsedStatus = { status, conversation: null, recipient: null, account: '7' }

let appended: Append[]
let append: Log['append']
beforeEach(() => {
  appended = []
  append = async records => {
    appended.push(...records)
    return []
  }
})
afterEach(() => void vi.useRealTimers())

const take = (parsed: Partial<ParsedWebhook>) =>
  receive(
    pigeon,
    { messages: [], statuses: [], refused: [], ...parsed },
    { log: { append: records => append(records) } as Log, codec, tenantKey: KEY },
  )
const seen = () =>
  appended.map(({ topic, key, value, headers }) => ({ topic, key, id: headers?.id, record: codec.decode(value as Buffer) }))

describe('a delivery of a channel', () => {
  it('has its messages on the inbox of their conversation, under an id that a repeat has, too', async () => {
    expect(await take({ messages: [message] })).toEqual({ message: 1, status: 0, refused: 0 })
    const key = conversationId(KEY, 'pigeon', '7', 'loft')
    expect(seen()).toMatchObject([{ topic: 'conversation.inbox', key, id: reference('feather-1') }])
    await take({ messages: [message] })
    expect(new Set(seen().map(({ id }) => id)).size).toBe(1)
  })

  it("has its statuses on the channel's own inbox: by what the provider echoes, else by the recipient", async () => {
    const statuses = [
      { ...nowhere, conversation: 'main:c1' },
      { ...nowhere, recipient: 'loft' },
    ]
    expect(await take({ statuses })).toEqual({ message: 0, status: 2, refused: 0 })
    expect(seen().map(({ topic, key }) => [topic, key])).toEqual([
      ['pigeon.inbox', 'main:c1'],
      ['pigeon.inbox', conversationId(KEY, 'pigeon', '7', 'loft')],
    ])
  })

  it('leaves to the dead letters what cannot be read or belongs to no conversation, and takes the rest', async () => {
    const refused = [{ path: 'entry[0]', reason: 'is not an object', part: 7 }]
    const unwritable = { ...message, sentAt: 'noon' as unknown as number }
    const parts = await take({ messages: [message, unwritable], statuses: [nowhere], refused })
    expect(parts).toEqual({ message: 1, status: 0, refused: 3 })
    const letters = seen().filter(({ topic }) => topic === 'dead.letters')
    expect(letters.map(({ record }) => (record.value as { topic: string }).topic)).toEqual(Array(3).fill('webhooks/pigeon'))
    expect(seen().filter(({ topic }) => topic === 'conversation.inbox')).toHaveLength(1)
  })

  it('is not confirmed while the log has not taken it: after 10 s it fails', async () => {
    vi.useFakeTimers()
    append = () => new Promise(() => {})
    const taking = take({ messages: [message] })
    const failed = expect(taking).rejects.toThrow(/no answer within 10000 ms/)
    await vi.advanceTimersByTimeAsync(10_000)
    await failed
  })

  it('fails as the log does', async () => {
    append = async () => {
      throw new Error('disk full')
    }
    await expect(take({ messages: [message] })).rejects.toThrow('disk full')
    expect(await take({})).toEqual({ message: 0, status: 0, refused: 0 })
  })
})
