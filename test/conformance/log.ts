/**
 * What every driver of the log must do. A driver's test calls `logConformance` with a way to open it; each test gets topics
 * and groups of its own, so that one broker may serve them all. Offsets are not taken to be dense: transaction markers of
 * Kafka take some.
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

/** A log that has been opened for one test. */
export interface Opened {
  readonly log: Log
  readonly registry?: SchemaRegistry
  /** Ends the driver, and opens it again on what it has stored. */
  reopen(): Promise<Opened>
  close(): Promise<void>
  /** Does what retention and compaction may do once everything in the log has become so much older, ms. */
  clean?(olderBy: number): Promise<void>
  /** Removes every record that a topic which keeps them for a week has by now, as retention does in time. */
  expire?(topic: Topic): Promise<void>
  /** Ends the driver, damages what is stored at a position, and opens it again. */
  damage?(at: Position): Promise<Opened>
}

/** What a driver claims beyond appending and reading. */
export interface Features {
  /** Groups: join, poll, transactions. */
  readonly membership: boolean
  /** What is durable is there after `reopen`. */
  readonly restart: boolean
  /** `clean` is there. */
  readonly cleaning: boolean
  /** `expire` is there. */
  readonly expiring: boolean
  /** `damage` is there. */
  readonly damaging: boolean
  /** `registry` is there. */
  readonly registry: boolean
}

/** @param open gives a log that has these topics, all of them new and empty */
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
