/** Actors that one group had, and that two have in the next version of the code: nothing is lost, and nothing done again. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type ActorDefinition, actor } from '../../engine/actor.ts'
import { LmdbStores } from '../../engine/lmdb.ts'
import { EMPTY } from '../../engine/testing/trial-state.ts'
import { Worker } from '../../engine/worker.ts'
import type { TrialState } from '../../schemas/types.ts'
import { changelog, deadLetters, defineTopic, ENGINE_RECORDS, type Topic } from '../../topics/catalog.ts'
import { Codec, type SchemaRegistry } from '../../topics/codec.ts'
import { openKafkaLog } from '../../topics/kafka/log.ts'
import { ConfluentRegistry } from '../../topics/kafka/registry.ts'
import { openLocalLog } from '../../topics/local/log.ts'
import type { Log } from '../../topics/log.ts'
import { describeWithStack } from '../stack/vitest.ts'

type Opening = (topics: readonly Topic[], folder: string) => Promise<{ log: Log; registry: SchemaRegistry }>

/** Notes the numbers of what it has handled, in order. */
function noting(name: string): ActorDefinition {
  return actor({
    name,
    inbox: defineTopic(`${name}.inbox`, 'key', ['TrialInput', ...ENGINE_RECORDS], { partitions: 1 }),
    state: 'TrialState',
    on: {
      TrialInput: (before, { sequence }): TrialState => {
        const state = before ?? EMPTY
        return { ...state, count: state.count + 1, digest: `${state.digest}${sequence},` }
      },
    },
    emits: [],
  }) as unknown as ActorDefinition
}

const cleanups: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function upgrades(open: Opening): void {
  it.each([
    { stores: 'there', fresh: false },
    { stores: 'gone', fresh: true },
  ])('with its stores $stores, each goes on where it stood', { timeout: 60_000 }, async ({ fresh }) => {
    const id = randomUUID().slice(0, 8)
    const [sends, polls] = [noting(`sends-${id}`), noting(`polls-${id}`)]
    const topics = [sends, polls].flatMap(of => [of.inbox, changelog(of.name, of.inbox)]).concat(deadLetters)
    const folder = mkdtempSync(join(tmpdir(), 'groups-'))
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
    const { log, registry } = await open(topics, folder)
    cleanups.push(() => log.close())
    const codec = await Codec.open(registry, topics)
    const errors: string[] = []
    const run = async (stores: LmdbStores, group: string, ...actors: ActorDefinition[]) => {
      const worker = new Worker({
        log,
        codec,
        actors,
        ports: {},
        group: `${group}-${id}`,
        instance: group,
        codeVersion: '1',
        openStore: async (name, partition) => stores.store(name, partition),
        onError: (what, error) => errors.push(`${what}: ${(error as Error).message}`),
      })
      await worker.start()
      return worker
    }
    const append = (sequence: number) =>
      log.append(
        [sends, polls].map(({ inbox: { name } }) => {
          return { topic: name, key: 'k', value: codec.encode(name, 'TrialInput', { sequence, kind: 'add', delayMs: 0 }) }
        }),
      )
    const handled = (worker: Worker, { inbox }: ActorDefinition) =>
      (worker.task({ topic: inbox.name, partition: 0 })?.peek('k') as TrialState | null)?.digest
    const eventually = (worker: Worker, of: ActorDefinition, digest: string) =>
      expect.poll(() => handled(worker, of), { timeout: 20_000, interval: 10 }).toBe(digest)
    const openStores = (name: string) => {
      const stores = LmdbStores.open(join(folder, name))
      cleanups.push(() => stores.close())
      return stores
    }

    let stores = openStores('state')
    const both = await run(stores, 'connectors', sends, polls)
    for (const sequence of [0, 1, 2]) await append(sequence)
    for (const group of [sends, polls]) await eventually(both, group, '0,1,2,')
    await both.stop()

    await append(3)
    if (fresh) stores = openStores('other')
    const channels = await run(stores, 'connectors', sends)
    const sources = await run(stores, 'sources', polls)
    cleanups.push(
      () => channels.stop(),
      () => sources.stop(),
    )
    await append(4)
    await eventually(channels, sends, '0,1,2,3,4,')
    await eventually(sources, polls, '0,1,2,3,4,')
    for (const worker of [channels, sources]) expect(worker.status().tasks).toMatchObject([{ state: 'RUNNING', stopped: null }])
    expect(errors).toEqual([])

    // Each commits where its own group has come; on a local log nobody seems to lag where nobody of the group reads any longer.
    const committed = async (group: string) => (await log.groupOffsets(`${group}-${id}`)).map(p => `${p.topic} ${p.offset}`)
    await expect.poll(() => committed('sources'), { timeout: 20_000 }).toEqual([`${polls.inbox.name} 5`])
    const former = await committed('connectors')
    expect(former).toContain(`${sends.inbox.name} 5`)
    if (registry === (log as unknown)) expect(former).toHaveLength(1)
  })
}

describe('a group that becomes two, on a local log', () => {
  upgrades(async (topics, folder) => {
    const log = await openLocalLog({ file: join(folder, 'log.sqlite'), topics })
    return { log, registry: log }
  })
})

await describeWithStack('a group that becomes two, on a real broker', ({ KAFKA_BROKERS, SCHEMA_REGISTRY_URL }) => {
  upgrades(async (topics, folder) => {
    const log = await openKafkaLog({ kafka: { brokers: KAFKA_BROKERS.split(',') }, topics, folder })
    return { log, registry: new ConfluentRegistry(SCHEMA_REGISTRY_URL) }
  })
})
