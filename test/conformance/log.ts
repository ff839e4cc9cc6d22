/**
 * What every driver of the log must do. A driver's test calls `logConformance` with a function that opens it; each test gets separate
 * topics and groups, so that one broker can serve them all. Offsets need not be dense: Kafka's transaction markers take some.
 */
import { describe } from 'vitest'
import type { Topic } from '../../topics/catalog.ts'
import type { SchemaRegistry } from '../../topics/codec.ts'
import type { Log, Position } from '../../topics/log.ts'
import { appending } from './appending.ts'
import { failing } from './failing.ts'
import { harness } from './harness.ts'
import { keeping } from './keeping.ts'
import { polling } from './polling.ts'
import { registering } from './registering.ts'
import { transactions } from './transactions.ts'

/** A log that was opened for one test. */
export interface Opened {
  readonly log: Log
  readonly registry?: SchemaRegistry
  /** Closes the driver, and opens it again on its stored data. */
  reopen(): Promise<Opened>
  close(): Promise<void>
  /** Runs retention and compaction as if everything in the log were older by this time, ms. */
  clean?(olderBy: number): Promise<void>
  /** Removes every current record of a topic with a week's retention, as retention does in time. */
  expire?(topic: Topic): Promise<void>
  /** Closes the driver, damages its data at a position, and opens it again. */
  damage?(at: Position): Promise<Opened>
}

/** What a driver supports beyond appending and reading. */
export interface Features {
  /** Groups: join, poll, transactions. */
  readonly membership: boolean
  /** Durable records are still there after `reopen`. */
  readonly restart: boolean
  /** It has `clean`. */
  readonly cleaning: boolean
  /** It has `expire`. */
  readonly expiring: boolean
  /** It has `damage`. */
  readonly damaging: boolean
  /** It has `registry`. */
  readonly registry: boolean
}

/** @param open opens a log that has these topics, all of them new and empty */
export function logConformance(name: string, open: (topics: readonly Topic[]) => Promise<Opened>, features: Features): void {
  describe(`the log on ${name}`, () => {
    const kit = harness(open)
    appending(kit)
    if (features.membership) {
      polling(kit)
      failing(kit, features)
      transactions(kit)
    }
    keeping(kit, features)
    if (features.registry) registering(kit)
  })
}
