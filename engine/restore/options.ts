/** What a restore is given, and what it has found out about the task. */
import type { TaskInbox } from '../../schemas/types.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Ends, Log, Position, TopicPartition } from '../../topics/log.ts'
import { Fatal } from '../errors.ts'
import type { Checkpoint } from '../store.ts'
import type { Task } from '../task.ts'
import type { WriterSchemas } from '../writer-schemas.ts'

export interface RestoreOptions {
  readonly log: Log
  readonly codec: Codec
  readonly writerSchemas: WriterSchemas
  readonly task: Task
  /** The group's stable committed offset of the inbox partition, if there is one. */
  readonly committed: Position | undefined
  readonly wallClock: () => number
  /** Checkpoints older than this are not trusted, ms: half of the changelog's `delete.retention.ms`. */
  readonly maxCheckpointAge: number
  /** Something in the local store is damaged: rebuild it from the changelog. */
  readonly distrusted: boolean
  readonly newId: () => string
  /** Yields to other work of the process. */
  readonly turn: () => Promise<void>
  /** Called between steps: throws if the assignment has changed. */
  readonly assertCurrent: () => void
}

/** What the engine's own records of a changelog say. */
export interface Recovered {
  logId: string | null
  position: number | null
  stop: { readonly codeVersion: string; readonly cause: string } | null
  inbox: TaskInbox | null
  /** Next offset by a person's decision that no transaction has followed yet. */
  accepted: number | null
  /** The newest record of a position. */
  witness: Checkpoint['witness']
}

/** Bytes of one read. */
export const READ_BYTES = 2 * 1024 * 1024

/** @throws {Fatal} `no_partition` */
export async function endsOf(log: Log, { topic, partition }: TopicPartition): Promise<Ends> {
  const ends = (await log.ends(topic)).find(e => e.partition === partition)
  if (ends === undefined) throw new Fatal('no_partition', `topic ${topic} has no partition ${partition}`)
  return ends
}
