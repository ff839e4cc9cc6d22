/** What the parts of the service share while it starts and runs. */
import type { Logger } from 'pino'
import type { Dependencies } from '../api/health.ts'
import type { Workers } from '../api/metrics.ts'
import type { Config } from '../config.ts'
import type { ActorDefinition, Port } from '../engine/actor.ts'
import type { CacheBudget } from '../engine/generational-cache.ts'
import type { Codec } from '../topics/codec.ts'
import type { Log, Position } from '../topics/log.ts'

export type Actor = ActorDefinition
export type ActorPorts = Readonly<Record<string, Port>>

export interface Parts {
  readonly settings: Config
  readonly logger: Logger
  readonly onError: (what: string, error: unknown) => void
  /** What is lost for this process ends it. */
  readonly onLost: (error: Error) => void
  readonly log: Log
  readonly codec: Codec
  /** Decoded actors of all workers. */
  readonly cache: CacheBudget
  /** Called in the opposite order. */
  readonly closers: (() => Promise<unknown> | unknown)[]
  readonly dependencies: Record<string, Dependencies[string]>
  readonly readers: Record<string, () => readonly Position[]>
  readonly workers: Record<string, Workers[string]>
}
