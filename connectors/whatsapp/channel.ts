/** WhatsApp as a channel. https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages */
import type { Channel } from '../../domain/channel.ts'
import { DAY_MS } from '../../domain/time.ts'
import { type ChannelInbox, whatsappInbox } from '../../topics/catalog.ts'

export const whatsappChannel = {
  name: 'whatsapp',
  label: 'WhatsApp',
  inbox: whatsappInbox,
  limits: {
    textChars: 4096,
    textWithChoicesChars: 1024,
    buttons: { most: 3, titleChars: 20 },
    list: { most: 10, titleChars: 24, descriptionChars: 72 },
  },
  freeTextWindowMs: DAY_MS,
  receipts: 'read',
} as const satisfies Channel<ChannelInbox>
