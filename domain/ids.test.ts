import fc from 'fast-check'
import { expect, test } from 'vitest'
import { conversationId } from './ids.ts'

const parts = fc.tuple(fc.string(), fc.string(), fc.string())

test('the same chat is the same conversation, with 26 characters and its tenant', () => {
  const id = conversationId('key', 'whatsapp', '1000', '66812345678')
  expect(id).toBe(conversationId(Buffer.from('key'), 'whatsapp', '1000', '66812345678'))
  expect(id).toMatch(/^main:[a-z2-7]{26}$/)
  expect(conversationId('key', 'whatsapp', '1000', '66812345678', 'north')).toBe(id.replace('main:', 'north:'))
})

test('is the HMAC-SHA256 of the length-prefixed parts', () => {
  // Computed apart: printf '\0\0\0\1a\0\0\0\1b\0\0\0\1c' | openssl dgst -sha256 -hmac k, in base32.
  expect(conversationId('k', 'a', 'b', 'c')).toBe('main:u3oor7f3vuf3vk266vud24o5rp')
})

test('other parts, another order of them or another key is another conversation', () => {
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      fc.pre(JSON.stringify(a) !== JSON.stringify(b))
      return (
        conversationId('key', ...a) !== conversationId('key', ...b) &&
        conversationId('key', ...a) !== conversationId('other', ...a)
      )
    }),
  )
  expect(conversationId('key', 'ab', 'c', '')).not.toBe(conversationId('key', 'a', 'bc', ''))
})

test('shows nothing of the phone', () => {
  expect(conversationId('key', 'whatsapp', '1000', '66812345678')).not.toContain('668')
})
