import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { TrialState } from '../schemas/types.ts'
import { changelog, deadLetters, defineTopic } from '../topics/catalog.ts'
import { Codec } from '../topics/codec.ts'
import { type LocalLog, openLocalLog } from '../topics/local/log.ts'
import type { Log } from '../topics/log.ts'
import { type ActorDefinition, actor } from './actor.ts'
import { ASKED_BY, LOOKUP, RECORD_ID } from './headers.ts'
import type { LookupsOf } from './lookups.ts'
import { replayPartition } from './replay.ts'
import { MemoryStore } from './store.ts'
import { type Act, bounds, boundsOutputs, EMPTY } from './testing/bounds-actor.ts'
import { carry, testkit } from './testing/testkit.ts'
import { Worker } from './worker.ts'

const inbox = { ...bounds({}).inbox, partitions: 1 }
const journal = defineTopic('bounds.journal', 'key', ['TrialDone', 'TrialBytes'], { partitions: 1, keepDays: 7 })
const lookups = {
  count: { input: 'TrialEffect', result: 'TrialDone' },
  fetch: { input: 'TrialEffect', result: 'TrialBytes' },
  news: { input: 'TrialEffect', result: 'TrialDone', unnumbered: true },
} as const
await carry([journal])

/** Adds what it is told to the digest; what is not told is performed. */
const ask =
  (lookup: string, sequence: number): Act =>
  (context, state) => {
    const answer = (context as never as { lookup(name: string, input: object): { sequence: number } | null }).lookup(lookup, {
      sequence,
    })
    if (answer === null) context.perform('small', { sequence })
    return { ...(state ?? EMPTY), digest: `${state?.digest ?? ''}${answer?.sequence ?? 'nothing'},` }
  }
const news = (context: unknown) =>
  (context as { lookup(name: string, input: object): object | null }).lookup('news', { sequence: 3 })
const acts: Record<string, Act> = {
  ask: ask('count', 1),
  twice: (context, state) => ask('count', 2)(context, ask('count', 1)(context, state) as TrialState),
  later: (context, state) => {
    news(context)
    return ask('count', 1)(context, state)
  },
  again: (context, state) => {
    news(context)
    news(context)
    return state
  },
  strange: ask('strange', 1),
  unfit: ask('count', 1.5),
  fails: context => {
    ask('count', 1)(context, null)
    throw new Error('told to fail')
  },
  odd: (context, state) => {
    const next = ask('count', 1)(context, state) as TrialState
    if (Number(next.digest.split(',').at(-2)) % 2 === 1) throw new Error('an odd one')
    return next
  },
}
const definition = { ...(bounds(acts, { lookups, journal } as never) as never as ActorDefinition), inbox } as ActorDefinition

describe('a look-up', () => {
  const kitOf = (answers: LookupsOf) => testkit(definition as never, { lookups: answers })
  const handle = (kit: ReturnType<typeof kitOf>, kind: string) => kit.handle('TrialInput', { sequence: 0, kind })
  const digest = (kit: ReturnType<typeof kitOf>) => (kit.state as TrialState | null)?.digest

  it('is answered within the handler, and its answer kept under what asked', () => {
    let n = 0
    const kit = kitOf({ count: (({ sequence }: { sequence: number }) => ({ sequence: sequence * 10 + n++ })) as never })
    expect(handle(kit, 'twice')).toMatchObject({
      result: 'handled',
      effects: [],
      answers: [
        { lookup: 'count', by: '0.0', record: { sequence: 10 } },
        { lookup: 'count', by: '0.1', record: { sequence: 21 } },
      ],
    })
    expect(digest(kit)).toBe('10,21,')
  })

  it('has no answer where nothing answers now', () => {
    const kit = kitOf({ count: () => null })
    expect(handle(kit, 'ask')).toMatchObject({ result: 'handled', answers: [], effects: [{ effect: 'small' }] })
    expect(digest(kit)).toBe('nothing,')
    expect(handle(kitOf({}), 'ask').answers).toEqual([])
  })

  it('that is not numbered leaves the numbers of the others as they are without it', () => {
    const count = (() => ({ sequence: 7 })) as never
    const by = (answers: LookupsOf, kind: string) => handle(kitOf(answers), kind).answers.map(a => a.by)
    expect(by({ count }, 'ask')).toEqual(['0.0'])
    expect(by({ count }, 'later')).toEqual(['0.0'])
    expect(by({ count, news: count }, 'later')).toEqual(['0.news', '0.0'])
    expect(by({ news: count }, 'again')).toEqual(['0.news', '0.news.1'])
  })

  it('is kept though its handler fails; and a question that is none is poison', () => {
    const kit = kitOf({ count: (() => ({ sequence: 7 })) as never })
    expect(handle(kit, 'fails')).toMatchObject({ result: 'poisoned', answers: [{ record: { sequence: 7 } }], effects: [] })
    expect(handle(kit, 'strange')).toMatchObject({ result: 'poisoned', answers: [] })
    expect(handle(kit, 'unfit')).toMatchObject({ result: 'poisoned', answers: [] })
  })

  it('needs a journal with the partitions of the inbox', () => {
    const made = (more: object) => () => actor({ ...definition, ...more } as never)
    expect(made({ journal: undefined })).toThrow('look-up "count" is answered with TrialDone, which its journal does not carry')
    expect(made({ journal: { ...journal, partitions: 2 } })).toThrow('must have as many partitions as bounds.inbox')
    expect(made({ journal: { ...journal, cleanup: 'compact' } })).toThrow('must not be compacted')
    expect(made({})).not.toThrow()
  })
})

describe('on a log', () => {
  const topics = [
    inbox,
    journal,
    { ...boundsOutputs, partitions: 1 },
    { ...deadLetters, partitions: 1 },
    changelog('bounds', inbox),
  ]
  const folder = mkdtempSync(join(tmpdir(), 'lookups-'))
  const errors: string[] = []
  let log: LocalLog
  let codec: Codec
  let worker: Worker
  /** Whatever is asked, the answer is another one each time. */
  let asked = 0

  beforeAll(async () => {
    log = await openLocalLog({ file: join(folder, 'log.sqlite'), topics })
    codec = await Codec.open(log, topics)
    const count = () => {
      asked += 1
      if (asked % 4 === 3) throw new Error('the index is being made')
      if (asked % 4 === 0) return { sequence: 'none' }
      return { sequence: asked }
    }
    worker = new Worker({
      log: log as never as Log,
      codec,
      actors: [definition],
      ports: { bounds: { small: (async ({ sequence }: { sequence: number }) => ({ sequence })) as never } },
      lookups: { bounds: { count: count as never } },
      group: 'lookups',
      instance: 'lookups',
      codeVersion: '1',
      openStore: async () => new MemoryStore('1'),
      onError: (what, error) => errors.push(`${what}: ${(error as Error).message}`),
    })
    await worker.start()
    const kinds = ['ask', 'odd', 'ask', 'ask', 'odd', 'twice']
    await log.append(
      kinds.map((kind, n) => ({
        topic: inbox.name,
        partition: 0,
        key: `k${n % 2}`,
        value: codec.encode(inbox.name, 'TrialInput', { sequence: n, kind }),
        headers: { [RECORD_ID]: `${n}` },
      })),
    )
    await vi.waitFor(async () => {
      const [end] = await log.ends(inbox.name)
      const at = { topic: inbox.name, partition: 0 }
      expect([worker.task(at)?.position, worker.status().effects, end?.high]).toEqual([9, 0, 9])
    })
  })

  afterAll(async () => {
    await worker.stop()
    await log.close()
    rmSync(folder, { recursive: true })
  })

  const replay = (more: Partial<Parameters<typeof replayPartition>[0]> = {}) =>
    replayPartition({ log: log as never as Log, codec, definition, codeVersion: '1', partition: 0, ...more })

  it('answers are written with the transaction; an error is told, and is no answer', async () => {
    const { records } = await log.read({ topic: journal.name, partition: 0 }, 0)
    expect(records.map(r => [r.key, r.headers[LOOKUP], r.headers[ASKED_BY], codec.decode(r.value as Buffer).value])).toEqual([
      ['k0', 'count', '0.0', { sequence: 1 }],
      ['k1', 'count', '1.0', { sequence: 2 }],
      ['k0', 'count', '4.0', { sequence: 5 }],
      ['k1', 'count', '5.0', { sequence: 6 }],
    ])
    expect(errors).toEqual([
      'look-up count of bounds: the index is being made',
      expect.stringContaining('look-up count of bounds: '),
      'look-up count of bounds: the index is being made',
    ])
  })

  it('a replay reads them, asks nobody, and comes to the same states and decisions', async () => {
    const before = asked
    const report = await replay()
    expect(report.differences).toEqual([])
    expect([report.records, report.keys, asked]).toEqual([9, 2, before])
    expect((await replay({ key: 'k1' })).differences).toEqual([])
  })

  it('a replay under code that asks one more question, without a number, finds the answers to the others', async () => {
    const on = (bounds({ ...acts, ask: acts.later as Act }) as never as ActorDefinition).on
    expect((await replay({ definition: { ...definition, on } })).differences).toEqual([])
  })

  it('a replay says where other code asks something else', async () => {
    const other = { ...definition, on: (bounds({ ...acts, ask: ask('count', 9) }) as never as ActorDefinition).on }
    expect((await replay({ definition: other })).differences).toContainEqual({
      key: 'k0',
      offset: 0,
      what: 'question to look-up "count"',
      recorded: 'another one',
      replayed: 'this one',
    })
    const elsewhere = { ...definition, on: (bounds({ ...acts, ask: ask('fetch', 1) }) as never as ActorDefinition).on }
    expect((await replay({ definition: elsewhere })).differences).toContainEqual(
      expect.objectContaining({ offset: 0, what: 'question to look-up "fetch"', recorded: 'one to look-up "count"' }),
    )
  })
})
