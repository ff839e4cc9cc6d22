/** WhatsApp, by Meta's Cloud API. */
import { channelBreaker, limitPause } from '../../settings/providers.ts'
import { DELIVERY_DEFAULTS, deliveryActor } from '../channel/delivery.ts'
import { defineConnector } from '../connector.ts'
import { healthOf } from '../outbound.ts'
import { whatsappDelivery } from './delivery.ts'
import { whatsappPorts } from './ports.ts'
import { whatsappSettings } from './settings.ts'
import { whatsappWebhook } from './webhook.ts'

export const whatsapp = defineConnector({
  name: whatsappDelivery.channel.name,
  settings: whatsappSettings,
  actor: timeScale => deliveryActor(whatsappDelivery, { ...DELIVERY_DEFAULTS, timeScale }),
  connect: (settings, { timeScale, providers }) => {
    const tuning = { timeScale, breaker: channelBreaker(providers), limit: limitPause(providers) }
    const { ports, outbound, close } = whatsappPorts({ ...settings, ...tuning })
    return { ports, health: () => healthOf(outbound), close }
  },
  channel: {
    description: whatsappDelivery.channel,
    account: settings => settings.phoneNumberId,
    webhook: whatsappWebhook,
  },
})
