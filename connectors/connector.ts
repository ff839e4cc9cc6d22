/**
 * A connector: everything that the service has to know of an outside system, as one value. `connectors/index.ts` lists them, and
 * `service/` wires whatever is listed.
 *
 *   settings ─▶ configured? ─▶ actor, ports ─▶ worker of the channels or of the sources
 *                          └─▶ webhook ─▶ api        (channels)
 */
import type { Channel } from '../domain/channel.ts'
import type { ActorDefinition, Port, Ports } from '../engine/actor.ts'
import type { ProviderConfig } from '../settings/providers.ts'
import type { Environment, Section } from '../settings/setting.ts'
import type { ChannelInbox } from '../topics/catalog.ts'
import type { Codec } from '../topics/codec.ts'
import type { Log } from '../topics/log.ts'
import type { Webhook } from './channel/webhook.ts'

export interface Health {
  readonly status: 'up' | 'degraded'
  readonly detail: string
}

export interface ConnectorContext {
  readonly log: Log
  readonly codec: Codec
  readonly timeScale: number
  readonly providers: ProviderConfig
  /** Calling code of phones that the default tenant writes without one, as of now. */
  readonly countryCode: () => string
}

/** A connector that is connected to its system. */
export interface Connection<P = Readonly<Record<string, Port>>> {
  readonly ports: P
  /** Called once its actor runs. */
  started?(): Promise<void>
  /** Ends what `started` began: called while its actor still runs. */
  stopping?(): unknown
  /** For readiness: a system that is down degrades it. */
  health?(): Health
  /** Called once its actor has stopped. */
  close?(): unknown
}

/** What is written for a connector. `A` is its actor, `S` its settings. */
export interface ConnectorDefinition<A extends Pick<ActorDefinition, 'effects'>, S> {
  readonly name: string
  readonly settings: Section<S | null>
  /** @param timeScale divides durable timers and deadlines */
  readonly actor: (timeScale: number) => A
  readonly connect: (settings: S, context: ConnectorContext) => Connection<Ports<A>>
  /** For a message channel: its description, our account at the provider, and what the provider sends us. */
  readonly channel?: {
    readonly description: Channel<ChannelInbox>
    readonly account: (settings: S) => string
    readonly webhook: (settings: S) => Webhook | null
  }
}

export interface Connector {
  readonly name: string
  readonly settings: Section<unknown>
  /** Channels do not wait in one worker with sources. */
  readonly worker: 'channels' | 'sources'
  readonly channel: Channel<ChannelInbox> | null
  actor(timeScale: number): ActorDefinition
  /** Null where it is not configured. What is wrong goes to `problems`. */
  configure(environment: Environment, problems: string[]): ConfiguredConnector | null
}

/** A connector with its settings. */
export interface ConfiguredConnector {
  readonly connector: Connector
  readonly name: string
  /** Of a channel: our account at the provider, and what the provider sends us. */
  readonly account: string | null
  readonly webhook: Webhook | null
  connect(context: ConnectorContext): Connection
}

// biome-ignore lint/suspicious/noExplicitAny: an actor of any kind
export function defineConnector<A extends ActorDefinition<any, any, any, any, any>, S>(
  definition: ConnectorDefinition<A, S>,
): Connector {
  const { name, settings, actor, connect, channel } = definition
  const connector: Connector = {
    name,
    settings,
    worker: channel === undefined ? 'sources' : 'channels',
    channel: channel?.description ?? null,
    // What handlers and ports take is checked above, by the type of the definition; a worker gives each of them its own records.
    actor: timeScale => actor(timeScale) as ActorDefinition,
    configure: (environment, problems) => {
      const given = settings.read(environment, problems)
      if (given === null) return null
      return {
        connector,
        name,
        account: channel?.account(given) ?? null,
        webhook: channel?.webhook(given) ?? null,
        connect: context => connect(given, context) as Connection,
      }
    },
  }
  return connector
}
