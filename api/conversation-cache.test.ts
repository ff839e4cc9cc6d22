import { expect, test } from 'vitest'
import { type CachedConversation, ConversationCache } from './conversation-cache.ts'

const conversation = (json: string): CachedConversation => ({ venue: 'main:v1', openedAt: 0, json })
const never = async (): Promise<CachedConversation | null> => {
  throw new Error('it was read')
}

function listening(maxBytes?: number) {
  let now = 0
  const cache = new ConversationCache(maxBytes, () => now)
  cache.begun()
  const turn = (ms: number) => {
    now += ms
  }
  return { cache, turn }
}

test('a conversation is cached until it changes', async () => {
  const { cache } = listening()
  expect(cache.peek('c1')).toBeNull()
  await cache.get('c1', async () => conversation('old'))
  expect((await cache.get('c1', never))?.json).toBe('old')
  expect(cache.peek('c1')?.json).toBe('old')
  cache.changed(['c0', 'c2'])
  expect(cache.peek('c1')?.json).toBe('old')
  cache.changed(['c0', 'c1'])
  expect(cache.peek('c1')).toBeNull()
  expect((await cache.get('c1', async () => conversation('new')))?.json).toBe('new')
  cache.changed(null)
  expect([cache.peek('c1'), cache.bytes]).toEqual([null, 0])
})

test('a conversation that changes during its read is not cached, and later requests read it again', async () => {
  const { cache } = listening()
  const { promise, resolve } = Promise.withResolvers<CachedConversation>()
  const before = cache.get('c1', () => promise)
  const beside = cache.get('c1', never)
  cache.changed(['c1'])
  const after = cache.get('c1', async () => conversation('new'))
  resolve(conversation('old'))
  expect([(await before)?.json, (await beside)?.json, (await after)?.json]).toEqual(['old', 'old', 'new'])
  expect(cache.peek('c1')?.json).toBe('new')
})

test('without notifications nothing is cached, and no read is shared', async () => {
  const cache = new ConversationCache()
  await cache.get('c1', async () => conversation('x'))
  expect(cache.peek('c1')).toBeNull()
  cache.begun()
  await cache.get('c1', async () => conversation('x'))
  const { promise, resolve } = Promise.withResolvers<CachedConversation>()
  const under = cache.get('c2', () => promise)
  cache.lost()
  expect(cache.peek('c1')).toBeNull()
  expect((await cache.get('c2', async () => conversation('own')))?.json).toBe('own')
  // Begun before notifications were missed: not cached, though they have resumed.
  cache.begun()
  resolve(conversation('old'))
  await under
  expect(cache.peek('c2')).toBeNull()
})

test('missing conversations and failed reads are not cached', async () => {
  const { cache } = listening()
  expect(await cache.get('c1', async () => null)).toBeNull()
  await expect(cache.get('c1', never)).rejects.toThrow('it was read')
  expect((await cache.get('c1', async () => conversation('x')))?.json).toBe('x')
})

test('the least recently used are dropped, by size; one that is too large is not cached', async () => {
  const text = 'x'.repeat(4_000)
  const { cache } = listening(100_000)
  for (let n = 0; n < 20; n++) {
    await cache.get(`c${n}`, async () => conversation(text))
    cache.peek('c0')
  }
  expect(cache.bytes).toBeLessThanOrEqual(100_000)
  expect(cache.peek('c0')).not.toBeNull()
  expect(cache.peek('c1')).toBeNull()
  expect(cache.peek('c19')).not.toBeNull()
  await cache.get('huge', async () => conversation('x'.repeat(50_000)))
  expect(cache.peek('huge')).toBeNull()
  expect(cache.peek('c19')).not.toBeNull()
})

test('nothing is cached for longer than a minute', async () => {
  const { cache, turn } = listening()
  await cache.get('c1', async () => conversation('x'))
  turn(59_999)
  expect(cache.peek('c1')).not.toBeNull()
  turn(1)
  expect([cache.peek('c1'), cache.bytes]).toEqual([null, 0])
})
