import type { DeliveryChannel } from '../channel/delivery.ts'
import { whatsappChannel } from './channel.ts'
import { describeError } from './errors.ts'

export const whatsappDelivery: DeliveryChannel = { channel: whatsappChannel, describeError }
