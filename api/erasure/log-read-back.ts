/** Reads back from the log whether the state and the records of erased conversations are deleted. */
import * as catalog from '../../topics/catalog.ts'
import type { Codec, Decoded } from '../../topics/codec.ts'
import type { Log, Position } from '../../topics/log.ts'
import { partitionOf } from '../../topics/murmur2.ts'
import type { TaskActor } from '../tasks.ts'

const READ_BYTES = 1024 * 1024
const READ_WAIT_MS = 1_000

/** The end of a key's partition when the erasure was ordered. */
export interface Mark extends Position {
  readonly key: string
}

/** The inboxes that the order is sent to, and those of the connector that forwards it. */
export function inboxesOf(channel: string): string[] {
  const connector = catalog.channelInboxes().get(channel)
  return [catalog.conversationInbox.name, ...(connector === undefined ? [] : [connector.name])]
}

export class LogReadBack {
  readonly #log: Log
  readonly #codec: Codec
  readonly #actors: readonly TaskActor[]

  constructor({ log, codec, actors = [] }: { log: Log; codec: Codec; actors?: readonly TaskActor[] }) {
    this.#log = log
    this.#codec = codec
    this.#actors = actors
  }

  /** Actors that have a state of a conversation on this channel. */
  actorsOf(channel: string): readonly TaskActor[] {
    const inboxes = inboxesOf(channel)
    return this.#actors.filter(({ inbox }) => inboxes.includes(inbox))
  }

  /** Marks of every topic that is read back. */
  async marks(
    channel: string,
    conversations: readonly string[],
    issues: readonly { readonly id: string }[],
  ): Promise<readonly Mark[]> {
    const of = (topic: string, keys: readonly string[]) => keys.map(key => ({ topic, key }))
    const changelogs = this.actorsOf(channel).map(({ changelog }) => changelog)
    const topics = [...inboxesOf(channel), catalog.conversationProfiles.name, ...changelogs]
    const wanted = [
      ...topics.flatMap(topic => of(topic, conversations)),
      ...of(
        catalog.issues.name,
        issues.map(i => i.id),
      ),
    ]
    const ends = new Map<string, Promise<readonly { partition: number; high: number }[]>>()
    return Promise.all(
      wanted.map(async ({ topic, key }) => {
        const known = ends.get(topic) ?? this.#log.ends(topic)
        ends.set(topic, known)
        const all = await known
        const partition = partitionOf(key, all.length)
        return { topic, key, partition, offset: all.find(e => e.partition === partition)?.high ?? 0 }
      }),
    )
  }

  /**
   * How many of these conversations an actor may still have a state of from before the order.
   * @param orders offsets of the orders, by inbox and conversation
   */
  async countStates(
    { inbox, changelog, group }: TaskActor,
    conversations: readonly string[],
    marks: readonly Mark[],
    orders: ReadonlyMap<string, number>,
  ): Promise<number> {
    const positions = await this.#log.groupOffsets(group)
    let left = 0
    for (const key of conversations) {
      const mark = marks.find(m => m.topic === changelog && m.key === key)
      const order = orders.get(`${inbox} ${key}`)
      const committed = positions.find(p => p.topic === inbox && p.partition === mark?.partition)?.offset ?? 0
      if (mark === undefined || order === undefined || committed <= order) left++
      // Without any record since the mark, there was no state to delete.
      else if (!(await this.readSince(mark)).stateless) left++
    }
    return left
  }

  /** Whether any record of the key since the mark deletes it, and whether its state was cleared or never written. */
  async readSince({ topic, partition, key, offset }: Mark): Promise<{ deleted: boolean; stateless: boolean }> {
    const { high = 0 } = (await this.#log.ends(topic)).find(e => e.partition === partition) ?? {}
    let [records, deleted, cleared] = [0, false, false]
    for (let at = offset; at < high; ) {
      const read = await this.#log.read({ topic, partition }, at, { maxBytes: READ_BYTES, wait: READ_WAIT_MS })
      await this.#codec.prepareKnown(read.records)
      for (const record of read.records.filter(r => r.key === key)) {
        records++
        if (record.value === null) deleted = true
        else if (hasNoState(this.#codec.decode(record.value))) cleared = true
      }
      if (read.next === at) break
      at = read.next
    }
    return { deleted, stateless: records === 0 || deleted || cleared }
  }
}

function hasNoState({ type, value }: Decoded): boolean {
  return type === 'Envelope' && value.state === null
}
