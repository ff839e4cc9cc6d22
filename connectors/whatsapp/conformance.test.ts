import { channelConformance } from '../channel/testing/conformance.ts'
import { whatsappDelivery } from './delivery.ts'
import { startFakeWhatsApp } from './fake.ts'
import { whatsappPorts } from './ports.ts'

const ACCOUNT = { phoneNumberId: '106540352242922', accessToken: 'token', appSecret: 'secret' }

channelConformance({
  delivery: whatsappDelivery,
  person: '66812345678',
  open: async () => {
    const fake = await startFakeWhatsApp({ ...ACCOUNT, statuses: [] })
    const { ports, close } = whatsappPorts({ apiUrl: fake.url, ...ACCOUNT })
    return {
      ports,
      accepted: () => fake.sent.map(({ to, text, choices }) => ({ to, text, choices: choices.map(({ title }) => title) })),
      refuseNext: () => fake.fault({ kind: 'error', code: 131026 }),
      close: async () => {
        await close()
        await fake.close()
      },
    }
  },
})
