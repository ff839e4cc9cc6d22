/**
 * What a message channel can carry. A description is a constant of the code: whatever decides by it decides the same at every
 * replay. The channel's connector gives a message its form; a conversation only asks what may be said, and until when.
 */

/** Lengths are in UTF-16 units. */
export interface ChannelLimits {
  /** Longest text of one message; a longer one goes out in several. */
  readonly textChars: number
  /** Longest text of a message that shows choices. */
  readonly textWithChoicesChars: number
  /** Choices shown as buttons; null where the channel has none. */
  readonly buttons: { readonly most: number; readonly titleChars: number } | null
  /** Choices shown as a list to pick from; null where the channel has none. */
  readonly list: { readonly most: number; readonly titleChars: number; readonly descriptionChars: number } | null
}

export interface Channel<Inbox extends { readonly name: string } = { readonly name: string }> {
  /** As records name it, and the first part of its inbox's name. */
  readonly name: string
  /** As people know it. */
  readonly label: string
  /** Topic of the orders to its connector. */
  readonly inbox: Inbox
  readonly limits: ChannelLimits
  /** How long after a person last wrote the provider accepts free text, ms; null for ever. */
  readonly freeTextWindowMs: number | null
  /** The last status that the provider reports of a message it has accepted. */
  readonly receipts: 'none' | 'sent' | 'delivered' | 'read'
}

/** Until when free text may be sent to a person who wrote at this time, ms since the epoch. */
export function freeTextUntil({ freeTextWindowMs }: Channel, lastInboundAt: number): number {
  return freeTextWindowMs === null ? Number.POSITIVE_INFINITY : lastInboundAt + freeTextWindowMs
}

/** The channel of this name. @throws when there is no connector for it */
export function channelNamed<C extends Channel>(channels: readonly C[], name: string): C {
  const found = channels.find(channel => channel.name === name)
  if (found !== undefined) return found
  throw new Error(`no connector for channel "${name}"; there are: ${channels.map(c => c.name).join(', ') || 'none'}`)
}
