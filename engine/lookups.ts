/**
 * Look-ups: what handlers ask of the memory of their process. The answer is none of the record's: so it is journaled in the
 * transaction that handles the record, partition for partition, and whoever handles the record once more reads it there.
 */
import type { RecordName } from '../schemas/types.ts'
import type { Codec } from '../topics/codec.ts'
import type { Append, Log, TopicPartition } from '../topics/log.ts'
import type { ActorDefinition, Lookup } from './actor.ts'
import type { Answer, Question } from './step/step.ts'
import { ASKED_BY, LOOKUP, QUESTION } from './headers.ts'
import { pieces } from './pieces.ts'
import { checkSize } from './size.ts'

/** Lookups by name. */
export type LookupsOf = Readonly<Record<string, Lookup>>

/** Asks them for a task. What fails is told, and no answer. */
export function answering(
  definition: ActorDefinition,
  partition: number,
  { codec, onError, lookups }: { codec: Codec; onError: (what: string, error: unknown) => void; lookups: LookupsOf },
): (question: Question) => Buffer | null {
  return question => {
    const { lookup: name, input } = question
    const lookup = Object.hasOwn(lookups, name) ? lookups[name] : undefined
    const result = definition.lookups?.[name]?.result
    if (lookup === undefined || result === undefined || definition.journal === undefined) return null
    try {
      const answer = lookup(input as never)
      if (answer === null) return null
      const value = codec.encode(definition.journal.name, result as RecordName, answer as never)
      checkSize(`the answer of look-up "${name}"`, journaled(definition, partition, { ...question, value }))
      return value
    } catch (error) {
      onError(`look-up ${name} of ${definition.name}`, error)
      return null
    }
  }
}

/** An answer as a record of the journal. */
export function journaled({ name, journal }: ActorDefinition, partition: number, answer: Answer): Append {
  if (journal === undefined) throw new Error(`actor "${name}" has no journal`)
  const { key, lookup, by, digest, value } = answer
  return { topic: journal.name, partition, key, value, headers: { [LOOKUP]: lookup, [ASKED_BY]: by, [QUESTION]: digest } }
}

/** What a journal holds of one key or of all, by what asked. */
export async function readJournal(
  log: Log,
  codec: Codec,
  at: TopicPartition,
  key?: string,
): Promise<ReadonlyMap<string, Pick<Answer, 'lookup' | 'digest' | 'value'>>> {
  const answers = new Map<string, Pick<Answer, 'lookup' | 'digest' | 'value'>>()
  for await (const records of pieces(log, at, 0)) {
    const wanted = records.filter(r => key === undefined || r.key === key)
    await codec.prepare(wanted)
    for (const { value, headers } of wanted) {
      const { [LOOKUP]: lookup, [ASKED_BY]: by, [QUESTION]: digest } = headers
      if (value === null || lookup === undefined || by === undefined || digest === undefined) continue
      answers.set(by, { lookup, digest, value })
    }
  }
  return answers
}
