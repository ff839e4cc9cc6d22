import type pg from 'pg'
import { type Topic, topicNamed } from '../../topics/catalog.ts'
import { type Sink, type SinkOptions, startSink } from '../sink.ts'
import { PROJECTED } from './project.ts'
import { postgresStore } from './store.ts'

/** The topics that tables are made from. */
export const postgresTopics: readonly Topic[] = PROJECTED.map(topicNamed)

/** Starts filling Postgres. It must have been migrated. */
export function startPostgresSink({
  pool,
  topics = postgresTopics,
  keepDays = null,
  ...options
}: Omit<SinkOptions, 'store'> & { pool: pg.Pool; topics?: readonly Topic[]; keepDays?: number | null }): Promise<Sink> {
  return startSink({ ...options, store: postgresStore({ pool, codec: options.codec, topics, keepDays }) })
}
