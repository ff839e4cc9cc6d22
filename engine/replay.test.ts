import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { TrialState } from '../schemas/types.ts'
import { changelog, deadLetters } from '../topics/catalog.ts'
import { Codec } from '../topics/codec.ts'
import { type LocalLog, openLocalLog } from '../topics/local/log.ts'
import type { Append, Log } from '../topics/log.ts'
import type { ActorDefinition, Port } from './actor.ts'
import type { Emit } from './step/step.ts'
import { COMMAND, RECORD_ID } from './headers.ts'
import { type Difference, replayPartition } from './replay.ts'
import { MemoryStore } from './store.ts'
import { type Act, bounds, boundsOutputs, EMPTY } from './testing/bounds-actor.ts'
import { Worker } from './worker.ts'

const acts: Record<string, Act> = {
  emit: context => void context.emit(boundsOutputs, context.key, 'TrialOutput', { sequence: context.offset, count: 0 }),
  timer: context => void context.setTimer('tick:x', context.now + 20),
  perform: context => void context.perform('small', { sequence: 1 }),
  refused: context => void context.perform('small', { sequence: -1 }),
  forget: () => null,
  poison: () => {
    throw new Error('told to fail')
  },
}
const definition = bounds(acts) as never as ActorDefinition
const inbox = { ...bounds({}).inbox, partitions: 1 }
const one = { ...definition, inbox } as ActorDefinition
const changes = changelog('bounds', inbox)
const topics = [inbox, { ...boundsOutputs, partitions: 1 }, { ...deadLetters, partitions: 1 }, changes]
const AT = { topic: inbox.name, partition: 0 }

const folder = mkdtempSync(join(tmpdir(), 'replay-'))
let log: LocalLog
let codec: Codec
let sequence = 0

const input = (key: string, kind: string, headers: Record<string, string> = {}): Append => ({
  ...AT,
  key,
  value: codec.encode(inbox.name, 'TrialInput', { sequence: sequence++, kind, delayMs: 0 }),
  headers,
})

/** What the records of its inbox make of the actor, in two lives of the worker. */
async function run(codeVersion: string, records: () => readonly Append[]): Promise<void> {
  const port: Port<never, never> = (async (asked: { sequence: number }, attempt: { beforeSend(): void }) => {
    attempt.beforeSend()
    if (asked.sequence < 0) throw new Error('connection reset')
    return { sequence: asked.sequence }
  }) as never
  const worker = new Worker({
    log: log as never as Log,
    codec,
    actors: [one],
    ports: { bounds: { small: port as never } },
    group: 'replay',
    instance: 'replay',
    codeVersion,
    openStore: async () => new MemoryStore(codeVersion),
  })
  await worker.start()
  await log.append(records())
  await vi.waitFor(
    async () => {
      const high = (await log.ends(inbox.name))[0]?.high
      const task = worker.task(AT)
      expect([worker.status().effects, task?.position, task?.store.nextDue() ?? Number.POSITIVE_INFINITY > Date.now()]).toEqual([
        0,
        high,
        expect.anything(),
      ])
      expect(task?.peek('timed')).toMatchObject({ digest: expect.stringContaining('tick') })
      expect(task?.actors.openAttempts()).toEqual([])
    },
    { timeout: 10_000 },
  )
  await worker.stop()
}

beforeAll(async () => {
  log = await openLocalLog({ file: join(folder, 'log.sqlite'), topics })
  codec = await Codec.open(log, topics)
  await run('1', () => [
    input('plain', 'emit'),
    input('plain', 'add', { [RECORD_ID]: 'a' }),
    input('plain', 'add', { [RECORD_ID]: 'a' }),
    input('failing', 'emit'),
    input('failing', 'poison', { [RECORD_ID]: 'b', [COMMAND]: 'b' }),
    input('failing', 'add'),
    input('timed', 'timer'),
    input('acting', 'perform'),
    input('acting', 'refused'),
    input('gone', 'add', { [RECORD_ID]: 'c' }),
    input('gone', 'forget', { [RECORD_ID]: 'd' }),
    { ...AT, key: 'plain', value: Buffer.from('no record') },
    { ...AT, key: 'a\0b', value: null },
  ])
  await run('2', () => [input('plain', 'add'), input('failing', 'poison'), input('timed', 'emit'), input('gone', 'add')])
})

afterAll(async () => {
  await log.close()
  rmSync(folder, { recursive: true })
})

const replay = (more: Partial<Parameters<typeof replayPartition>[0]> = {}) =>
  replayPartition({ log: log as never as Log, codec, definition: one, codeVersion: '2', partition: 0, ...more })
const shown = (differences: readonly Difference[]) =>
  differences.map(({ key, offset, what, recorded, replayed }) => `${key} ${offset} ${what}: ${recorded} / ${replayed}`)
const changed = (other: Record<string, Act>) => ({ ...(bounds({ ...acts, ...other }) as never as ActorDefinition), inbox })

describe('under the same code', () => {
  it('a replay gives the same states, decisions and outputs', async () => {
    const emits: Emit[] = []
    const report = await replay({ emit: emit => emits.push(emit) })
    expect(report.differences).toEqual([])
    expect(report.keys).toBe(5)
    expect(report.records).toBe((await log.ends(inbox.name))[0]?.high)
    for (const topic of [boundsOutputs.name, deadLetters.name]) {
      const made = emits.filter(e => e.topic === topic).map(e => e.key)
      const written = (await log.read({ topic, partition: 0 }, 0)).records.map(r => r.key)
      expect(made.length).toBeGreaterThan(2)
      expect(made).toEqual(written)
    }
  })

  it('may look at one key alone', async () => {
    const report = await replay({ key: 'failing' })
    expect([report.keys, report.records, report.differences]).toEqual([1, 4, []])
  })

  it('begins with what the changelog still has where the inbox has lost its beginning', async () => {
    const low = (await log.ends(inbox.name))[0]?.high as number
    const shortened = (from: number) => ({
      ends: async (topic: string) => (await log.ends(topic)).map(e => (topic === inbox.name ? { ...e, low: from } : e)),
      read: log.read.bind(log),
    })
    const report = await replay({ log: shortened(low - 4) as never })
    expect([report.low, report.differences]).toEqual([low - 4, []])
    expect(report.records).toBeGreaterThan(0)
    const other = changed({ emit: () => ({ ...EMPTY, count: 99 }) })
    expect((await replay({ log: shortened(low - 4) as never, definition: other })).differences.map(d => d.key)).toEqual(['timed'])
  })
})

describe('under other code', () => {
  it('a replay shows the decision that would have been another, and under which code it was made', async () => {
    const { differences } = await replay({ codeVersion: '3', definition: changed({ poison: () => undefined }) })
    expect(shown(differences)).toEqual(['failing 4 decision: skip by code 1 / handled'])
  })

  it('and says where the code is said to be the same', async () => {
    const { differences } = await replay({ codeVersion: '1', definition: changed({ poison: () => undefined }) })
    expect(shown(differences)).toEqual(['failing 4 decision: skip by this same code / handled'])
    const failing = changed({ forget: acts.poison as Act })
    expect(shown((await replay({ definition: failing })).differences)).toEqual(['gone 10 decision: handled / skip'])
  })

  it('shows the first value of a state that would be another', async () => {
    const emit: Act = (_, state) => ({ ...(state ?? EMPTY), last: 7 }) as TrialState
    const { differences } = await replay({ definition: changed({ emit }) })
    expect(shown(differences).sort()).toEqual([
      'failing null state.count: 2 / 1',
      'plain null state.count: 3 / 2',
      expect.stringMatching(/^timed null state\.count: 3 \/ 2|^timed null state\.count: 2 \/ 1/),
    ])
  })

  it('shows what would stop the task', async () => {
    const { differences } = await replay({ definition: { ...one, effects: {} } as never })
    expect(shown(differences)).toEqual([expect.stringMatching(/^acting \d+ (decision: handled \/ skip|the task would stop: )/)])
    const on = { TrialInput: one.on.TrialInput }
    expect(shown((await replay({ definition: { ...one, on } as never })).differences)).toEqual([
      expect.stringMatching(/^acting \d+ the task would stop: handled \/ actor "bounds" has no handler for TrialDone/),
    ])
  })
})
