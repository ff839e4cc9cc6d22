/**
 * The process that `crash.test.ts` kills: producers, a worker and the cleaner on one log, as busy as possible. It prints
 * what the log has acknowledged, one line each, before it continues:
 *
 *   opening · ready · appended <partition> <offset> <id> · committed <partition> <next>
 */
import { writeSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { defineTopic } from '../../catalog.ts'
import { type Append, type Assignment, partitionKey } from '../../log.ts'
import { type LocalLog, openLocalLog } from '../log.ts'

export const inbox = defineTopic('crash.inbox', 'key', [], { partitions: 3 })
export const outputs = defineTopic('crash.outputs', 'key', [], { partitions: 3 })
export const changelog = defineTopic('crash.changelog', 'key', [], { partitions: 3, cleanup: 'compact' })
export const GROUP = 'crash'

/** What the worker keeps of a partition in its changelog. */
export interface Kept {
  readonly count: number
  readonly next: number
}

export function open(file: string): Promise<LocalLog> {
  return openLocalLog({
    file,
    topics: [inbox, outputs, changelog],
    cleaning: { activeMs: 0, deleteRetentionMs: 0 },
    onError: error => {
      throw error
    },
  })
}

/** The newest value of every key of a changelog partition. */
export async function restore(log: LocalLog, partition: number): Promise<Map<string | null, string | undefined>> {
  const newest = new Map<string | null, string | undefined>()
  const { high } = (await log.ends(changelog.name))[partition] ?? { high: 0 }
  for (let at = 0; at < high; ) {
    const { records, next } = await log.read({ topic: changelog.name, partition }, at)
    for (const { key, value } of records) newest.set(key, value?.toString())
    at = next
  }
  return newest
}

function say(line: string): void {
  writeSync(1, `${line}\n`)
}

async function produce(log: LocalLog, name: string): Promise<void> {
  for (let n = 0; ; ) {
    const records = Array.from({ length: 1 + (n % 4) }, (): Append => {
      const id = `${name}:${n++}`
      // Some are so large that the write takes a while.
      const value = Buffer.from(n % 50 === 0 ? `${id} ${'x'.repeat(100_000)}` : id)
      return { topic: inbox.name, key: `key-${n % 17}`, value }
    })
    for (const [i, { partition, offset }] of (await log.append(records)).entries()) {
      say(`appended ${partition} ${offset} ${idOf(records[i]?.value as Buffer)}`)
    }
  }
}

export function idOf(value: Buffer): string {
  return value.toString().split(' ')[0] as string
}

async function work(log: LocalLog): Promise<void> {
  let assignment: Assignment | undefined
  const membership = await log.join({
    group: GROUP,
    topics: [inbox.name],
    instance: 'worker',
    revoked: async () => {},
    assigned: given => {
      assignment = given
    },
  })
  if (assignment === undefined) throw new Error('nothing was assigned')
  const kept = new Map<number, Kept>()
  for (const { topic, partition } of assignment.partitions) {
    const value = (await restore(log, partition)).get('kept')
    const state: Kept = value === undefined ? { count: 0, next: 0 } : JSON.parse(value)
    kept.set(partition, state)
    membership.start({ topic, partition, offset: state.next })
  }
  for (;;) {
    const records = (await membership.poll({ max: 200, wait: 1000 })).flatMap(range => range.records)
    if (records.length === 0) continue
    const transaction = membership.begin(assignment)
    const touched = new Set<number>()
    for (const { partition, offset, value } of records) {
      transaction.append({ topic: outputs.name, key: null, partition, value })
      const { count } = kept.get(partition) as Kept
      kept.set(partition, { count: count + 1, next: offset + 1 })
      touched.add(partition)
    }
    for (const partition of touched) {
      const state = Buffer.from(JSON.stringify(kept.get(partition)))
      transaction.append({ topic: changelog.name, key: 'kept', partition, value: state })
    }
    const positions = [...touched].map(partition => ({
      topic: inbox.name,
      partition,
      offset: (kept.get(partition) as Kept).next,
    }))
    transaction.offsets(positions)
    const last = await transaction.commit()
    for (const position of positions) {
      if (!last.has(partitionKey({ topic: changelog.name, partition: position.partition }))) throw new Error('no last offset')
      say(`committed ${position.partition} ${position.offset}`)
    }
  }
}

async function clean(log: LocalLog): Promise<void> {
  for (;;) {
    await log.compact()
    await setTimeout(20)
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , file, run] = process.argv
  say('opening')
  const log = await open(file as string)
  say('ready')
  await Promise.all([...['a', 'b', 'c'].map(name => produce(log, `${run}${name}`)), work(log), clean(log)])
}
