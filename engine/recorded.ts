/** What a changelog holds of a task: its states, and from which earlier ones its inbox can be handled once more. */
import { recordSchema } from '../schemas/index.ts'
import type { LedgerInput, TaskInbox } from '../schemas/types.ts'
import type { Codec } from '../topics/codec.ts'
import type { Log, TopicPartition } from '../topics/log.ts'
import { decodeInstance, type Instance } from './instance.ts'
import { pieces } from './pieces.ts'
import { reserved } from './changelog.ts'
import { WriterSchemas } from './writer-schemas.ts'
import type { ActorDefinition } from './actor.ts'

/** An actor as of a position of its inbox: null where nothing was kept of it. */
export interface Base {
  readonly instance: Instance | null
  /** The next offset that it handles. */
  readonly next: number
}

export interface Recorded {
  readonly logId: string
  /** The inbox that the states are made from. */
  readonly inbox: TaskInbox
  /** Next offset of the inbox: what lies before it is in the states. */
  readonly position: number
  readonly states: ReadonlyMap<string, Instance>
  /** By key, as of the beginning of the inbox, or the earliest after it that is there; without one, an actor begins with nothing. */
  readonly bases: ReadonlyMap<string, Base>
  /** Input of an attempt. @throws where the changelog has none */
  input(attempt: string): unknown
}

/** @param low first offset of the inbox that is still there; 0 where all of it is, and no base is needed */
export async function readRecorded(options: {
  readonly log: Log
  readonly codec: Codec
  readonly definition: ActorDefinition
  readonly changelog: TopicPartition
  readonly low: number
}): Promise<Recorded> {
  const { log, codec, definition, changelog, low } = options
  const writerSchemas = new WriterSchemas()
  const states = new Map<string, Instance>()
  const bases = new Map<string, Base>()
  const inputs = new Map<string, LedgerInput>()
  // What a transaction has written comes before the position that it has written, and counts from there on. Compaction takes away positions, but then also
  // every state that was not the key's newest until the position that is left.
  let pending = new Map<string, Instance | null>()
  let logId = ''
  let inbox: TaskInbox = { identity: '', partitions: 0, scope: '' }
  let position = 0
  for await (const records of pieces(log, changelog, 0)) {
    await codec.prepare(records)
    for (const { key, value } of records) {
      if (key === null) continue
      if (key === reserved.position && value !== null) {
        const read = codec.decode(value)
        if (read.type === 'TaskPosition') position = read.value.next
        for (const [of, instance] of pending) {
          if (instance === null) states.delete(of)
          else states.set(of, instance)
          if (low === 0) continue
          // The newest up to where the inbox begins is also that of its beginning.
          if (position <= low || !bases.has(of)) bases.set(of, { instance, next: Math.max(position, low) })
        }
        pending = new Map()
      } else if (key.startsWith('\0')) {
        const read = value === null ? null : codec.decode(value)
        if (read?.type === 'LogIdentity') logId = read.value.id
        else if (read?.type === 'TaskInbox') inbox = read.value
        else if (read?.type === 'SchemaText') writerSchemas.add(read.value.schema)
      } else if (key.includes('\0')) {
        const read = value === null ? null : codec.decode(value)
        if (read?.type === 'LedgerInput') inputs.set(read.value.attempt, read.value)
      } else {
        pending.set(key, value === null ? null : instanceOf(value, codec, definition, writerSchemas))
      }
    }
  }
  const input = (attempt: string) => {
    const kept = inputs.get(attempt)
    const effect = definition.effects?.[kept?.effect ?? '']
    if (kept === undefined || effect === undefined)
      throw new Error(`the changelog has no input of attempt ${attempt} that this code can read`)
    return writerSchemas.decode(effect.input, kept.fingerprint, kept.input)
  }
  return { logId, inbox, position, states, bases, input }
}

function instanceOf(value: Buffer, codec: Codec, { state }: ActorDefinition, writerSchemas: WriterSchemas): Instance {
  const { fingerprint, raw } = codec.unwrap(value)
  if (fingerprint !== recordSchema('Envelope').fingerprint) writerSchemas.add(codec.schemaOf(value))
  return decodeInstance(raw, fingerprint, state, writerSchemas)
}
