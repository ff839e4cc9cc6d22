import { describe, expect, it } from 'vitest'
import type { ReplyButton, SendMessage } from '../../schemas/types.ts'
import { errorOf, requestBody } from './client.ts'
import type { Json } from './fake-messages.ts'
import { faultyMessage } from './fake-checks.ts'

const choices = (count: number, title = (n: number) => `Zone ${n}`): ReplyButton[] =>
  Array.from({ length: count }, (_, n) => ({ id: `zone:${n}`, title: title(n), description: null }))

function body(more: Partial<SendMessage>): Json {
  const made = requestBody(
    {
      id: 'm1',
      conversation: 'main:c1',
      channel: 'whatsapp',
      account: '1',
      to: '66812345678',
      text: 'Which zone?',
      buttons: [],
      replyTo: null,
      lastInboundAt: 0,
      createdAt: 0,
      more: false,
      ...more,
    },
    'main:c1/a1',
  )
  expect(faultyMessage(made)).toBeNull()
  return made
}

describe('the request of a message', () => {
  it('is a text', () => {
    expect(body({ replyTo: 'wamid.0' })).toEqual({
      messaging_product: 'whatsapp',
      recipient_type: 'individual',
      to: '66812345678',
      context: { message_id: 'wamid.0' },
      biz_opaque_callback_data: 'main:c1/a1',
      type: 'text',
      text: { preview_url: false, body: 'Which zone?' },
    })
  })

  it('goes to a business-scoped user id by its own field', () => {
    expect(body({ to: 'TH.1349' })).toMatchObject({ recipient: 'TH.1349' })
    expect(body({ to: 'TH.1349' })).not.toHaveProperty('to')
  })

  it('has up to 3 choices as buttons', () => {
    const { type, interactive } = body({ buttons: choices(3) })
    expect(type).toBe('interactive')
    expect(interactive.action.buttons.map((b: Json) => b.reply)).toEqual([
      { id: 'zone:0', title: 'Zone 0' },
      { id: 'zone:1', title: 'Zone 1' },
      { id: 'zone:2', title: 'Zone 2' },
    ])
  })

  it('has 4 to 10 choices as a list, the button in the language of the text', () => {
    const { interactive } = body({ buttons: choices(10) })
    expect(interactive.type).toBe('list')
    expect(interactive.action.button).toBe('Choose')
    expect(interactive.action.sections[0].rows).toHaveLength(10)
    expect(body({ buttons: choices(4), text: 'โซนไหนคะ' }).interactive.action.button).toBe('เลือก')
    expect(body({ buttons: choices(12) }).interactive.action.sections[0].rows).toHaveLength(10)
  })

  it('cuts what is too long, with an ellipsis and not through a character', () => {
    expect(body({ text: 'a'.repeat(4096) }).text.body).toBe('a'.repeat(4096))
    expect(body({ text: 'a'.repeat(4097) }).text.body).toBe('a'.repeat(4095) + '…')
    expect(body({ text: 'a'.repeat(4094) + '😀😀' }).text.body).toBe('a'.repeat(4094) + '…')
    expect(body({ text: 'a'.repeat(1025), buttons: choices(1) }).interactive.body.text).toBe('a'.repeat(1023) + '…')
    const titled = body({ buttons: choices(2, n => `${n} Blue Lagoon Pattaya Beach`) })
    expect(titled.interactive.action.buttons[0].reply.title).toBe('0 Blue Lagoon Patta…')
  })

  it('shows a long row title whole below it', () => {
    const [row] = body({ buttons: choices(4, n => `${n} Blue Lagoon Pattaya Beach Club`) }).interactive.action.sections[0].rows
    expect(row).toEqual({ id: 'zone:0', title: '0 Blue Lagoon Pattaya B…', description: '0 Blue Lagoon Pattaya Beach Club' })
  })

  it('makes a list of few choices whose titles would be cut to the same', () => {
    const { interactive } = body({ buttons: choices(2, n => `Blue Lagoon Pattaya Beach ${n}`) })
    expect(interactive.type).toBe('list')
  })

  it('refuses to cut an id', () => {
    const [choice] = choices(1) as [ReplyButton]
    expect(() => body({ buttons: [{ ...choice, id: 'x'.repeat(257) }] })).toThrow(RangeError)
  })
})

describe('the error of an answer', () => {
  it.each([
    ['{"error":{"code":131056,"message":"m","error_data":{"details":"d"}}}', 131056, 'd'],
    ['{"error":{"code":190,"message":"m"}}', 190, 'm'],
    ['{"error":{"code":"x"}}', null, null],
    ['<html>502</html>', null, null],
    ['null', null, null],
  ])('%s', (answer, code, words) => expect(errorOf(answer)).toEqual({ code, words }))
})
