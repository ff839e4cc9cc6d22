/** A worker of a counting actor on a local log in a folder of its own, for tests of what goes wrong. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { recordSchema } from '../../schemas/index.ts'
import type { TaskAction, TrialInputInput, TrialState } from '../../schemas/types.ts'
import { changelog, deadLetters, defineTopic, ENGINE_RECORDS } from '../../topics/catalog.ts'
import { Codec, type SchemaRegistry } from '../../topics/codec.ts'
import { type LocalLog, openLocalLog } from '../../topics/local/log.ts'
import type { Log, LogRecord, Membership } from '../../topics/log.ts'
import { type ActorDefinition, actor } from '../actor.ts'
import { LmdbStores } from '../lmdb.ts'
import { reserved } from '../changelog.ts'
import { Worker, type WorkerSettings } from '../worker.ts'
import { EMPTY } from './trial-state.ts'

const PARTITIONS = 3
export const inbox = defineTopic('world.inbox', 'key', ['TrialInput', 'TrialDone', ...ENGINE_RECORDS], { partitions: PARTITIONS })
export const outputs = defineTopic('world.outputs', 'key', ['TrialOutput'], { partitions: 1 })
export const changes = changelog('world', inbox)
const topics = [inbox, outputs, changes, deadLetters]
/** Counts, and says so on `outputs`; `timer` sets one, `once` performs an effect that may be done once. */
export const counter = actor({
  name: 'world',
  inbox,
  state: 'TrialState',
  on: {
    TrialInput: (before, { sequence, kind, delayMs }, context): TrialState => {
      const state = before ?? EMPTY
      if (kind === 'poison') throw new Error('told to fail')
      if (kind === 'timer') context.setTimer(`tick:${sequence}`, context.now + delayMs)
      if (kind === 'once') context.perform('once', { sequence })
      context.emit(outputs, context.key, 'TrialOutput', { sequence, count: state.count + 1 })
      return { ...state, count: state.count + 1, last: sequence }
    },
    TrialDone: state => ({ ...(state ?? EMPTY), done: (state?.done ?? 0) + 1 }),
  },
  timers: { tick: state => ({ ...state, ticks: state.ticks + 1 }) },
  effects: { once: { input: 'TrialEffect', result: 'TrialDone', retry: 'never', timeoutMs: 2_000 } },
  ended: (state, { outcome }) => ({
    ...state,
    unknown: state.unknown + (outcome === 'UNKNOWN' ? 1 : 0),
    undone: state.undone + 1,
  }),
  emits: [outputs],
}) as unknown as ActorDefinition

export interface World {
  readonly folder: string
  readonly log: LocalLog
  readonly codec: Codec
  readonly stores: LmdbStores
  readonly errors: string[]
  start(settings?: Partial<WorkerSettings>): Promise<Worker>
  /** Stops it, as when a process is stopped. */
  stop(worker: Worker): Promise<void>
  append(...inputs: readonly [key: string, partition: number, record?: Partial<TrialInputInput>][]): Promise<void>
  /** What has been put out, in order. */
  handled(): Promise<{ sequence: number; count: number }[]>
  all(topic: string, partition: number): Promise<LogRecord[]>
  decide(partition: number, action: TaskAction, offset?: number): Promise<void>
  close(): Promise<void>
}

/** @param registry stands between the codec and the log's own */
export async function openWorld({
  folder = mkdtempSync(join(tmpdir(), 'world-')),
  registry,
}: {
  folder?: string
  registry?: (log: LocalLog) => SchemaRegistry
} = {}): Promise<World> {
  const log = await openLocalLog({ file: join(folder, 'log.sqlite'), topics })
  const codec = await Codec.open(registry?.(log) ?? log, topics)
  const stores = LmdbStores.open(join(folder, 'state'))
  const workers = new Set<Worker>()
  const errors: string[] = []
  const world: World = {
    folder,
    log,
    codec,
    stores,
    errors,
    start: async settings => {
      const worker = new Worker({
        log,
        codec,
        actors: [counter],
        ports: {},
        group: 'world',
        instance: 'world',
        codeVersion: '1',
        openStore: async (name, partition) => stores.store(name, partition),
        onError: (what, error) => errors.push(`${what}: ${(error as Error).message}`),
        ...settings,
      })
      workers.add(worker)
      await worker.start()
      return worker
    },
    stop: async worker => {
      workers.delete(worker)
      await worker.stop()
    },
    append: async (...inputs) => {
      await log.append(
        inputs.map(([key, partition, record]) => {
          const value = codec.encode(inbox.name, 'TrialInput', { sequence: 0, kind: 'add', ...record })
          return { topic: inbox.name, partition, key, value }
        }),
      )
    },
    handled: async () => {
      const records = await world.all(outputs.name, 0)
      return records.map(({ value }) => codec.decode(value as Buffer).value as { sequence: number; count: number })
    },
    all: async (topic, partition) => {
      const records: LogRecord[] = []
      for (let at = 0; ; ) {
        const read = await log.read({ topic, partition }, at)
        records.push(...read.records)
        if (read.next === at) return records
        at = read.next
      }
    },
    decide: async (partition, action, offset = -1) => {
      const record = { id: 'decision', action, offset, by: 'ops', reason: 'a test', at: Date.now() }
      const value = codec.encode(changes.name, 'TaskDecision', record)
      await log.append([{ topic: changes.name, partition, key: reserved.decision, value }])
    },
    close: async () => {
      for (const worker of workers) await worker.stop()
      await log.close()
      await stores.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return world
}

export const at = (partition: number) => ({ topic: inbox.name, partition })
export const statusOf = (worker: Worker, partition: number) => worker.status().tasks.find(t => t.partition === partition)
export const stateOf = (worker: Worker, key: string, partition: number) =>
  worker.task(at(partition))?.peek(key) as TrialState | null
export const eventually = (assertion: () => unknown) => expect.poll(assertion, { timeout: 10_000, interval: 5 })

/** The log with another `join`, `ends` or the like in place of its own. */
export function withOther(log: LocalLog, other: Partial<Log>): Log {
  return new Proxy(log, {
    get: (target, name) => {
      const found = Reflect.get(other, name) ?? Reflect.get(target, name)
      return typeof found === 'function' ? found.bind(target) : found
    },
  })
}

/** The log, whose memberships are changed as they are made. */
export function withMembership(log: LocalLog, change: (membership: Membership) => void): Log {
  return withOther(log, {
    join: async options => {
      const membership = await log.join(options)
      change(membership)
      return membership
    },
  })
}

/** A record that a newer version of the code writes: its schema has a field more. */
export async function newerInput(log: LocalLog, sequence: number, kind = 'add'): Promise<Buffer> {
  const { default: avro } = await import('avsc')
  const schema = JSON.parse(recordSchema('TrialInput').text)
  schema.fields.push({ name: 'added', type: 'string', default: '', doc: 'Of a newer version.' })
  const id = await log.register(`${inbox.name}-TrialInput`, JSON.stringify(schema))
  const body = avro.Type.forSchema(schema).toBuffer({ sequence, kind, delayMs: 0, added: 'new' })
  const value = Buffer.concat([Buffer.alloc(5), body])
  value.writeUInt32BE(id, 1)
  return value
}
