/** The actors of the service, the topics they need, and which worker runs which. */
import type { TaskActor } from '../api/tasks.ts'
import type { Config } from '../config.ts'
import { SHEETS_DEFAULTS, sheetsActor } from '../connectors/sheets/actor.ts'
import { soundtrackActor } from '../connectors/soundtrack/actor.ts'
import { SOUNDTRACK_SETTINGS } from '../connectors/soundtrack/settings.ts'
import { DELIVERY_DEFAULTS, deliveryActor } from '../connectors/channel/delivery.ts'
import { whatsappDelivery } from '../connectors/whatsapp/delivery.ts'
import { conversationActor } from '../processors/conversation/actor.ts'
import { defaultConversationSettings } from '../processors/conversation/settings.ts'
import { tenantActor } from '../processors/tenant/actor.ts'
import { venueActor } from '../processors/venue/actor.ts'
import { VENUE_DEFAULTS } from '../processors/venue/settings.ts'
import { allTopics, changelog, type Topic } from '../topics/catalog.ts'

/** The actors of the service, under these settings. */
export function actorsOf({ controlTrust, timeScale, providers: { firstWordMs, tryMs } }: Config) {
  const least = controlTrust.toUpperCase() as Uppercase<typeof controlTrust>
  return {
    conversation: conversationActor({
      ...defaultConversationSettings,
      channels: [whatsappDelivery.channel],
      tryMs,
      controlTrust: least,
      timeScale,
    }),
    venue: venueActor({ ...VENUE_DEFAULTS, controlTrust: least, timeScale, firstWordMs, commandMs: tryMs }),
    tenant: tenantActor(),
    whatsapp: deliveryActor(whatsappDelivery, { ...DELIVERY_DEFAULTS, timeScale }),
    soundtrack: soundtrackActor({ ...SOUNDTRACK_SETTINGS, timeScale }),
    sheets: sheetsActor({ ...SHEETS_DEFAULTS, timeScale }),
  }
}

export type Actors = ReturnType<typeof actorsOf>

/**
 * Which worker has which actors. What is sent to people does not wait in one cycle with what is read of providers. Whoever had both
 * was the group of the connectors: the channels go on in it, so that no message is sent by two versions at a time; the sources have
 * one of their own, and go on where their changelogs say.
 */
export const WORKERS = {
  processors: { group: 'processors', of: ['conversation', 'venue', 'tenant'] },
  channels: { group: 'connectors', of: ['whatsapp'] },
  sources: { group: 'sources', of: ['soundtrack', 'sheets'] },
} as const satisfies Record<string, { readonly group: string; readonly of: readonly (keyof Actors)[] }>

export function taskActor(group: string, { name, inbox }: Actors[keyof Actors]): TaskActor {
  return { name, inbox: inbox.name, changelog: changelog(name, inbox).name, group: groupOf(group) }
}

export function groupOf(name: string): string {
  return `bma.${name}`
}

export function topicsOf(actors: Actors): Topic[] {
  return [...allTopics(), ...Object.values(actors).map(a => changelog(a.name, a.inbox))]
}

/** Every topic that the service has with these settings. */
export function serviceTopics(settings: Config): Topic[] {
  return topicsOf(actorsOf(settings))
}
