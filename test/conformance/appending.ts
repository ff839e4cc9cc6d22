import { describe, expect, it } from 'vitest'
import { MAX_RECORD_BYTES, partitionKey } from '../../topics/log.ts'
import { partitionOf } from '../../topics/murmur2.ts'
import { append, codeOf, expectOrdered, type Kit, newTopic, readAll, texts } from './harness.ts'

/** Appending outside transactions, and reading without a group. */
export function appending(kit: Kit): void {
  describe('append and read', () => {
    it('keeps the order of every key, at the offsets that it gave', async () => {
      const topic = newTopic()
      const { log } = await kit.open(topic)
      const positions = []
      for (let round = 0; round < 20; round++) {
        const records = Array.from({ length: 15 }, (_, i) => append(topic, `key-${i}`, `${i}:${round}`))
        positions.push(...(await log.append(records)))
      }
      const records = await readAll(log, topic)
      expectOrdered(records)
      expect(records).toHaveLength(300)
      for (let i = 0; i < 15; i++) {
        const own = records.filter(({ key }) => key === `key-${i}`)
        expect(texts(own)).toEqual(Array.from({ length: 20 }, (_, round) => `${i}:${round}`))
        expect(new Set(own.map(partitionKey)).size).toBe(1)
      }
      const places = new Map(records.map(record => [`${partitionKey(record)}@${record.offset}`, record.value?.toString()]))
      for (const [n, position] of positions.entries()) {
        expect(places.get(`${partitionKey(position)}@${position.offset}`)).toBe(`${n % 15}:${Math.floor(n / 15)}`)
      }
    })

    it("puts a key into the partition that Kafka's partitioner chooses, or the one that is given", async () => {
      const topic = newTopic({ partitions: 5 })
      const { log } = await kit.open(topic)
      await log.append([append(topic, 'main:v1', 'by key'), append(topic, 'main:v1', 'told', { partition: 4 })])
      expect(texts(await readAll(log, topic, partitionOf('main:v1', 5)))).toContain('by key')
      expect(texts(await readAll(log, topic, 4))).toContain('told')
    })

    it('keeps headers, and tells null from empty', async () => {
      const topic = newTopic({ partitions: 1 })
      const { log } = await kit.open(topic)
      const headers = { trace: '00-4bf9', ชื่อ: 'สวัสดี 🎵', empty: '' }
      await log.append([
        append(topic, 'a', 'value', { headers }),
        append(topic, 'b', null),
        append(topic, null, 'no key'),
        append(topic, '', ''),
        append(topic, '\0reserved', 'reserved'),
      ])
      const records = await readAll(log, topic)
      expect(records.map(({ key }) => key)).toEqual(['a', 'b', null, '', '\0reserved'])
      expect(texts(records)).toEqual(['value', null, 'no key', '', 'reserved'])
      expect({ ...records[0]?.headers }).toEqual(headers)
      expect({ ...records[1]?.headers }).toEqual({})
    })

    it('accepts a record of the largest size, and refuses a larger one with all records of its append', async () => {
      const topic = newTopic({ partitions: 1 })
      const { log } = await kit.open(topic)
      const value = Buffer.alloc(MAX_RECORD_BYTES - 2, 'x')
      await log.append([append(topic, 'kk', null, { value })])
      const larger = append(topic, 'kk', null, { value: Buffer.concat([value, Buffer.from('y')]) })
      expect(await codeOf(log.append([append(topic, 'kk', 'before'), larger]))).toBe('too_large')
      const records = await readAll(log, topic)
      expect(records).toHaveLength(1)
      expect(records[0]?.value?.equals(value)).toBe(true)
    })

    it('refuses a topic that does not exist', async () => {
      const { log } = await kit.open(newTopic())
      const unknown = newTopic()
      expect(await codeOf(log.append([append(unknown, 'k', 'v')]))).toBe('no_topic')
      expect(await codeOf(log.read({ topic: unknown.name, partition: 0 }, 0))).toBe('no_topic')
      expect(await codeOf(log.ends(unknown.name))).toBe('no_topic')
    })

    it('reports the append time of a record, which never goes back', async () => {
      const topic = newTopic({ partitions: 1 })
      const { log } = await kit.open(topic)
      for (let i = 0; i < 10; i++) await log.append([append(topic, 'k', `${i}`), append(topic, 'k', `${i}`)])
      const times = (await readAll(log, topic)).map(({ timestamp }) => timestamp)
      expect(times).toEqual(times.toSorted((a, b) => a - b))
      expect(Math.abs((times[0] as number) - Date.now())).toBeLessThan(60_000)
    })

    it('accepts appends of many callers at the same time, each in its order', async () => {
      const topic = newTopic()
      const { log } = await kit.open(topic)
      const caller = async (name: number) => {
        for (let i = 0; i < 10; i++) await log.append([append(topic, `caller-${name}`, `${i}`)])
      }
      await Promise.all(Array.from({ length: 20 }, (_, name) => caller(name)))
      const records = await readAll(log, topic)
      expect(records).toHaveLength(200)
      for (let name = 0; name < 20; name++) {
        const own = records.filter(({ key }) => key === `caller-${name}`)
        expect(texts(own)).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`))
      }
    })
  })

  describe('read', () => {
    it('starts at any offset, and continues at `next`', async () => {
      const topic = newTopic({ partitions: 1 })
      const { log } = await kit.open(topic)
      const at = { topic: topic.name, partition: 0 }
      const positions = await log.append(Array.from({ length: 10 }, (_, i) => append(topic, 'k', `${i}`)))
      const { records, next } = await log.read(at, positions[6]!.offset)
      expect(texts(records)).toEqual(['6', '7', '8', '9'])
      await log.append([append(topic, 'k', '10')])
      expect(texts((await log.read(at, next, { wait: 5000 })).records)).toEqual(['10'])
    })

    it('returns about as many bytes as requested, and at least one record', async () => {
      const topic = newTopic({ partitions: 1 })
      const { log } = await kit.open(topic)
      const at = { topic: topic.name, partition: 0 }
      const value = Buffer.alloc(10_000, 'x')
      for (let i = 0; i < 4; i++) await log.append(Array.from({ length: 25 }, () => append(topic, 'k', null, { value })))
      const { records, next } = await log.read(at, 0, { maxBytes: 1 })
      expect(records.length).toBeGreaterThanOrEqual(1)
      expect(records.length).toBeLessThanOrEqual(25)
      expect(next).toBe(records.at(-1)!.offset + 1)
      expect((await log.read(at, 0, { maxBytes: 1024 * 1024 })).records.length).toBeGreaterThan(25)
    })

    it('waits for the first record, and no longer than requested', async () => {
      const topic = newTopic({ partitions: 1 })
      const { log } = await kit.open(topic)
      const at = { topic: topic.name, partition: 0 }
      expect(await log.read(at, 0, { wait: 20 })).toEqual({ records: [], next: 0 })
      const waiting = log.read(at, 0, { wait: 20_000 })
      await log.append([append(topic, 'k', 'first')])
      expect(texts((await waiting).records)).toEqual(['first'])
    })

    it('knows where partitions begin and end', async () => {
      const topic = newTopic({ partitions: 2 })
      const { log } = await kit.open(topic)
      const [, last] = await log.append([append(topic, 'k', 'a', { partition: 1 }), append(topic, 'k', 'b', { partition: 1 })])
      expect((await log.ends(topic.name)).toSorted((a, b) => a.partition - b.partition)).toEqual([
        { partition: 0, low: 0, high: 0 },
        { partition: 1, low: 0, high: last!.offset + 1 },
      ])
    })
  })
}
