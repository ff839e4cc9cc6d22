/** What the server is started with. */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Redis } from 'ioredis'
import type pg from 'pg'
import type { Codec } from '../topics/codec.ts'
import type { Log, Position } from '../topics/log.ts'
import type { LimitName } from './access/limits.ts'
import type { JwtSettings } from './access/tokens.ts'
import type { ClickHouseRouteOptions } from './analytics/clickhouse.ts'
import type { ErasedRows } from './erasure/receipts.ts'
import type { Dependencies } from './health.ts'
import type { ReadThrough } from '../cache/read-through.ts'
import type { InsiderOptions } from './insiders.ts'
import type { Workers } from './metrics.ts'
import type { PublicSettings } from './routes/settings.ts'
import type { TaskActor } from './tasks.ts'
import type { ApiChannel } from './webhooks/channel.ts'

export interface ServerOptions extends InsiderOptions {
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
  /** A second port for metrics and health of this process alone, if `port` is shared with other processes of this machine. */
  readonly ownPort?: number | null
  readonly log: Log
  readonly logger: FastifyBaseLogger
  /** What `/readyz` checks. */
  readonly dependencies: Dependencies
  /** Positions of readers without a consumer group, for the lag metrics, by the reader's name. */
  readonly readers?: Readonly<Record<string, () => readonly Position[]>>
  /** The workers of this process, for metrics and tasks. */
  readonly workers?: Workers
  /** The read-through cache; null reads Postgres each time. */
  readonly hot?: ReadThrough | null
  /** Notifications of changed rows; without them conversations are not cached, and users and keys for half a minute. */
  readonly changes?: Changes | null
  /** Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted; none by default. */
  readonly trustedProxies?: readonly string[]
}

export interface ApiOptions extends ServerOptions {
  /** The installation's own token, with the role admin; null for none. */
  readonly adminToken: string | null
  /** How the CRM signs its tokens; null if they are not accepted. */
  readonly jwt?: JwtSettings | null
  /** Signs our own tokens; the same in every process and across restarts. By default random: sessions end with the process. */
  readonly sessionKey?: Buffer | string
  /** Origins whose pages may call the API, such as `https://crm.example.com`; none by default. */
  readonly corsOrigins?: readonly string[]
  /** Folder of the audit journal; without one, responses wait for the log. */
  readonly auditFolder?: string | null
  /** A connected client, to count rate limits across processes; null counts in this process. */
  readonly redis?: Redis | null
  /** Overrides of the rate limits, requests per window of each. */
  readonly limits?: Partial<Record<LimitName, number>>
  /** The message channels that are configured. */
  readonly channels: readonly ApiChannel[]
  /** Runs analysts' statements; null without ClickHouse. */
  readonly clickhouse?: ClickHouseRouteOptions | null
  /** The actors of the installation, whichever process has their tasks. */
  readonly actors?: readonly TaskActor[]
  /** What `/settings` shows. */
  readonly settings?: PublicSettings
  readonly tenantKey: Buffer | string
  readonly codec: Codec
  /** A pool of its own, with a statement timeout: reads never wait behind the sink's writes. */
  readonly pool: pg.Pool
  /** What Postgres holds of an erased person. */
  readonly erased: ErasedRows
  /** Adds routes, such as a page at `/`. */
  readonly extend?: (app: FastifyInstance) => void | Promise<void>
}

/** Notifications of changes in Postgres, whichever process made them. */
export interface Changes {
  listen(listener: {
    /** From now on no change is missed. */
    begun(): void
    /** Rows of these conversations have changed; null for all. */
    changed(conversations: readonly string[] | null): void
    /** Users or API keys have changed. */
    people(): void
    /** Changes may be missed until `begun`. */
    lost(): void
  }): { close(): Promise<void> }
  /** Notifies the others that users or API keys have changed. */
  people(): Promise<void>
}

export interface ApiServer {
  readonly url: string
  /** URL of `ownPort`, if there is one. */
  readonly ownUrl: string | null
  /** Stops accepting requests, and resolves once those in progress are answered. */
  close(): Promise<void>
}
