import { expect, test } from 'vitest'
import { type Thread, Threads } from './conversation-cache.ts'

const thread = (json: string): Thread => ({ venue: 'main:v1', openedAt: 0, json })
const never = async (): Promise<Thread | null> => {
  throw new Error('it was read')
}

function listening(most?: number) {
  let now = 0
  const threads = new Threads(most, () => now)
  threads.begun()
  const turn = (ms: number) => {
    now += ms
  }
  return { threads, turn }
}

test('what was read is kept until something of it changes', async () => {
  const { threads } = listening()
  expect(threads.peek('c1')).toBeNull()
  await threads.get('c1', async () => thread('old'))
  expect((await threads.get('c1', never))?.json).toBe('old')
  expect(threads.peek('c1')?.json).toBe('old')
  threads.changed(['c0', 'c2'])
  expect(threads.peek('c1')?.json).toBe('old')
  threads.changed(['c0', 'c1'])
  expect(threads.peek('c1')).toBeNull()
  expect((await threads.get('c1', async () => thread('new')))?.json).toBe('new')
  threads.changed(null)
  expect([threads.peek('c1'), threads.bytes]).toEqual([null, 0])
})

test('what changes while it is read is not kept, and whoever asks from then on reads anew', async () => {
  const { threads } = listening()
  const { promise, resolve } = Promise.withResolvers<Thread>()
  const before = threads.get('c1', () => promise)
  const beside = threads.get('c1', never)
  threads.changed(['c1'])
  const after = threads.get('c1', async () => thread('new'))
  resolve(thread('old'))
  expect([(await before)?.json, (await beside)?.json, (await after)?.json]).toEqual(['old', 'old', 'new'])
  expect(threads.peek('c1')?.json).toBe('new')
})

test('nothing is kept, and no read shared, while nothing is heard of changes', async () => {
  const threads = new Threads()
  await threads.get('c1', async () => thread('x'))
  expect(threads.peek('c1')).toBeNull()
  threads.begun()
  await threads.get('c1', async () => thread('x'))
  const { promise, resolve } = Promise.withResolvers<Thread>()
  const under = threads.get('c2', () => promise)
  threads.lost()
  expect(threads.peek('c1')).toBeNull()
  expect((await threads.get('c2', async () => thread('own')))?.json).toBe('own')
  // Begun before something was missed: not kept, though all is heard of again.
  threads.begun()
  resolve(thread('old'))
  await under
  expect(threads.peek('c2')).toBeNull()
})

test('what is not there, and what failed, is asked for again', async () => {
  const { threads } = listening()
  expect(await threads.get('c1', async () => null)).toBeNull()
  await expect(threads.get('c1', never)).rejects.toThrow('it was read')
  expect((await threads.get('c1', async () => thread('x')))?.json).toBe('x')
})

test('those used longest ago go, by bytes; one that is too large is not kept', async () => {
  const text = 'x'.repeat(4_000)
  const { threads } = listening(100_000)
  for (let n = 0; n < 20; n++) {
    await threads.get(`c${n}`, async () => thread(text))
    threads.peek('c0')
  }
  expect(threads.bytes).toBeLessThanOrEqual(100_000)
  expect(threads.peek('c0')).not.toBeNull()
  expect(threads.peek('c1')).toBeNull()
  expect(threads.peek('c19')).not.toBeNull()
  await threads.get('huge', async () => thread('x'.repeat(50_000)))
  expect(threads.peek('huge')).toBeNull()
  expect(threads.peek('c19')).not.toBeNull()
})

test('nothing is kept for longer than a minute', async () => {
  const { threads, turn } = listening()
  await threads.get('c1', async () => thread('x'))
  turn(59_999)
  expect(threads.peek('c1')).not.toBeNull()
  turn(1)
  expect([threads.peek('c1'), threads.bytes]).toEqual([null, 0])
})
