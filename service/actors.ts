/** The actors of the service, the topics they need, and which worker runs which. */
import type { TaskActor } from '../api/tasks.ts'
import type { Config } from '../config.ts'
import { CONNECTORS } from '../connectors/index.ts'
import type { ActorDefinition } from '../engine/actor.ts'
import { conversationActor } from '../processors/conversation/actor.ts'
import { defaultConversationSettings, settingsFor as conversationSettingsFor } from '../processors/conversation/settings.ts'
import { tenantActor } from '../processors/tenant/actor.ts'
import { venueActor } from '../processors/venue/actor.ts'
import { settingsFor as venueSettingsFor, VENUE_DEFAULTS } from '../processors/venue/settings.ts'
import { allTopics, changelog, type Topic } from '../topics/catalog.ts'

export type WorkerName = 'processors' | 'channels' | 'sources'

/**
 * The group of each worker. Messages to people do not wait in one cycle with readings of providers. Both were once in the group
 * `connectors`: the channels stay in it, so that no message is sent by two versions at a time; the sources have a group of their own,
 * and continue where their changelogs say.
 */
export const GROUPS: Readonly<Record<WorkerName, string>> = {
  processors: 'processors',
  channels: 'connectors',
  sources: 'sources',
}

export interface ServiceActor {
  readonly worker: WorkerName
  readonly actor: ActorDefinition
}

/** The actors of the service, under these settings: of every connector, whether it is configured here or not. */
export function actorsOf({ tenant, timeScale, providers: { firstWordMs, tryMs } }: Config): readonly ServiceActor[] {
  const channels = CONNECTORS.map(({ channel }) => channel).filter(channel => channel !== null)
  const conversation = conversationActor(
    conversationSettingsFor(tenant, { ...defaultConversationSettings, channels, tryMs, timeScale }),
  )
  const venue = venueActor(venueSettingsFor(tenant, { ...VENUE_DEFAULTS, timeScale, firstWordMs, commandMs: tryMs }))
  // What their handlers take is checked where they are defined; a worker gives each of them the records of its own inbox.
  const processors = [conversation, venue, tenantActor()] as unknown as readonly ActorDefinition[]
  return [
    ...processors.map(actor => ({ worker: 'processors', actor }) as const),
    ...CONNECTORS.map(connector => ({ worker: connector.worker, actor: connector.actor(timeScale) })),
  ]
}

/** The actor of this name. @throws when there is none */
export function actorNamed(actors: readonly ServiceActor[], name: string): ActorDefinition {
  const found = actors.find(({ actor }) => actor.name === name)?.actor
  if (found === undefined) throw new Error(`no actor named "${name}"`)
  return found
}

export function taskActor({ worker, actor: { name, inbox } }: ServiceActor): TaskActor {
  return { name, inbox: inbox.name, changelog: changelog(name, inbox).name, group: groupOf(worker) }
}

export function groupOf(worker: WorkerName): string {
  return `bma.${GROUPS[worker]}`
}

export function topicsOf(actors: readonly ServiceActor[]): Topic[] {
  return [...allTopics(), ...actors.map(({ actor }) => changelog(actor.name, actor.inbox))]
}

/** Every topic that the service has with these settings. */
export function serviceTopics(settings: Config): Topic[] {
  return topicsOf(actorsOf(settings))
}
