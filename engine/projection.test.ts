import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { defineTopic } from '../topics/catalog.ts'
import { Codec, type SchemaRegistry } from '../topics/codec.ts'
import { type LocalLog, openLocalLog } from '../topics/local/log.ts'
import { LogError } from '../topics/log.ts'
import { startProjection } from './projection.ts'
import { eventually, withOther } from './testing/world.ts'

const topic = defineTopic('projected', 'key', ['TrialOutput'], { partitions: 2, cleanup: 'compact' })
let folder: string
let log: LocalLog
let codec: Codec
let applied: string[]
let errors: string[]

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'projection-'))
  log = await openLocalLog({ file: join(folder, 'log.sqlite'), topics: [topic] })
  codec = await Codec.open(log, [topic])
  applied = []
  errors = []
})
afterEach(async () => {
  await log.close()
  rmSync(folder, { recursive: true, force: true })
})

const put = (partition: number, key: string) => {
  const value = codec.encode(topic.name, 'TrialOutput', { sequence: 0, count: 0 })
  return log.append([{ topic: topic.name, partition, key, value }])
}
const start = (through: Parameters<typeof startProjection>[0]['log'] = log) =>
  startProjection({
    log: through,
    codec,
    topic,
    apply: key => applied.push(key),
    onError: error => errors.push((error as Error).message),
  })

it('goes on from where it stood after a read that failed: nothing is applied twice, and the other partition goes on', async () => {
  await put(0, 'a')
  await put(1, 'b')
  const read = log.read.bind(log)
  const trouble = { fails: false, tries: 0 }
  const troubled = withOther(log, {
    read: async (at, from, options) => {
      if (at.partition === 0 && trouble.fails) {
        trouble.tries += 1
        throw new LogError('unavailable', 'no answer')
      }
      return read(at, from, { ...options, wait: 5 })
    },
  })
  const projection = start(troubled)
  await projection.caughtUp
  trouble.fails = true
  await eventually(() => trouble.tries).toBeGreaterThanOrEqual(2)
  await put(0, 'c')
  await put(1, 'd')
  await eventually(() => applied.toSorted()).toEqual(['a', 'b', 'd'])
  trouble.fails = false
  await eventually(() => applied.toSorted()).toEqual(['a', 'b', 'c', 'd'])
  expect(errors.length).toBe(trouble.tries)
  await projection.close()
})

it('tells of a record whose schema nobody knows, and goes on with the others', async () => {
  await put(0, 'a')
  await log.append([{ topic: topic.name, partition: 0, key: 'b', value: Buffer.from([0, 0, 0, 0, 99, 1]) }])
  await put(0, 'c')
  const projection = start()
  await projection.caughtUp
  expect(applied).toEqual(['a', 'c'])
  expect(errors).toEqual([expect.stringMatching(/schema 99/)])
  await projection.close()
})

it('waits for the registry, says so at each try and ever more slowly, and applies nothing twice', async () => {
  let away = false
  const tries: number[] = []
  const registry: SchemaRegistry = {
    register: (subject, schema) => log.register(subject, schema),
    schema: async id => {
      if (!away) return log.schema(id)
      tries.push(performance.now())
      throw new Error('the registry does not answer')
    },
  }
  await put(0, 'a')
  const text = await log.schema((await log.read({ topic: topic.name, partition: 0 }, 0)).records[0]!.value!.readUInt32BE(1))
  codec = await Codec.open(registry, [topic])
  const projection = start()
  await projection.caughtUp
  away = true
  // A newer version of the schema, as another process writes it.
  const { doc: _, ...schema } = JSON.parse(text)
  const id = await log.register(`${topic.name}-newer`, JSON.stringify({ ...schema, doc: 'Newer.' }))
  const value = codec.encode(topic.name, 'TrialOutput', { sequence: 0, count: 0 })
  value.writeUInt32BE(id, 1)
  await log.append([{ topic: topic.name, partition: 0, key: 'b', value }])
  await put(0, 'c')
  await put(1, 'd')
  await eventually(() => tries.length).toBeGreaterThanOrEqual(3)
  expect(applied.toSorted()).toEqual(['a', 'd'])
  expect(errors).toEqual(Array(tries.length).fill('the registry does not answer'))
  expect(tries[2]! - tries[0]!).toBeGreaterThanOrEqual(150)
  away = false
  await eventually(() => applied.filter(key => key !== 'd')).toEqual(['a', 'b', 'c'])
  await projection.close()
})
