/**
 * A forward copies facts into an inbox: filtered and mapped by a pure function, each exactly once, in the order of each key. It is an
 * actor that keeps nothing, so that it runs in the same tasks and transactions as any other: its position is committed with its
 * outputs, its lag is that of its group, a record that it cannot forward is a dead letter.
 *
 * What it puts out carries the time of the fact, and an id that follows from the source's topic, partition and offset and from where it
 * goes: topic, key, type, and how many like it came before. If somebody has facts forwarded again, the inbox recognises them, also those
 * of a fact that other code forwards to more keys than before.
 */
import type { RecordInputs, RecordName, Records } from '../schemas/types.ts'
import { ENGINE_RECORDS, type Topic } from '../topics/catalog.ts'
import { type ActorDefinition, actor, type Context } from './actor.ts'
import { uuid5 } from './ids.ts'

/** A record of the source. */
export type Fact<N extends RecordName> = {
  [T in N]: {
    readonly key: string
    readonly type: T
    readonly value: Records[T]
    /** Log time, ms since the epoch. */
    readonly at: number
    readonly headers: Readonly<Record<string, string>>
  }
}[N]

/** A record for the target. */
export type Forwarded<N extends RecordName> = {
  [T in N]: { readonly key: string; readonly type: T; readonly value: RecordInputs[T] }
}[N]

export interface ForwardOptions<F extends Topic, T extends Topic> {
  /** Names its tasks and its changelog. Under another name it begins anew, at the first record that the source still has: see `since`. */
  readonly name: string
  readonly from: F
  readonly to: T
  /**
   * Facts from before this log time, ms since the epoch, are not forwarded: for a new forward, whose source holds facts that are too old
   * to act on. A fixed time, because a handler knows no clock; by default all facts are forwarded.
   */
  readonly since?: number
  /** What becomes of a fact: null forwards nothing. Must be pure: the same fact gives the same. */
  readonly forward: (
    fact: Fact<F['records'][number]>,
  ) => Forwarded<T['records'][number]> | readonly Forwarded<T['records'][number]>[] | null
}

/** Makes the actor. It needs no ports; its changelog is one of the topics, as every actor's is. */
export function forward<F extends Topic, T extends Topic>(options: ForwardOptions<F, T>): ActorDefinition {
  const { name, from, to, since = 0 } = options
  if ((to as Topic) === from || ENGINE_RECORDS.some(record => from.records.includes(record)))
    throw new Error(`forward "${name}": ${from.name} is an inbox or its own target; only facts are forwarded`)
  const handlers = from.records.map(type => {
    const handler = (_: unknown, value: unknown, context: Context) => {
      const { key, now: at, headers } = context
      if (at < since) return null
      const forwarded = options.forward({ key, type, value, at, headers } as never)
      const list: readonly Forwarded<RecordName>[] = forwarded === null ? [] : Array.isArray(forwarded) ? forwarded : [forwarded]
      const idOf = idsOf(context.id(), to)
      for (const record of list)
        context.emit(to as never, record.key, record.type as never, record.value as never, { id: idOf(record), at })
      return null
    }
    return [type, handler] as const
  })
  // All that it keeps is its position.
  const definition = { name, inbox: from, state: 'TaskPosition', on: Object.fromEntries(handlers), emits: [to], stateless: true }
  return actor(definition as never) as never
}

/** Ids of the records that one fact becomes, whatever others there are and in whatever order. */
function idsOf(fact: string, to: Topic): (record: Forwarded<RecordName>) => string {
  const counts = new Map<string, number>()
  return ({ key, type }) => {
    const target = JSON.stringify([to.name, key, type])
    const ordinal = counts.get(target) ?? 0
    counts.set(target, ordinal + 1)
    return uuid5(`${fact}/${target}/${ordinal}`)
  }
}
