/** A second channel, which nothing but this test knows: what is said of channels holds for more than the first of them. */
import { defineTopic, whatsappInbox } from '../../topics/catalog.ts'
import { channelConformance } from './testing/conformance.ts'

channelConformance({
  delivery: {
    channel: {
      name: 'pigeon',
      label: 'Pigeon post',
      inbox: defineTopic('pigeon.inbox', 'conversation', whatsappInbox.records),
      limits: { textChars: 60, textWithChoicesChars: 60, buttons: null, list: null },
      freeTextWindowMs: null,
      receipts: 'delivered',
    },
    describeError: () => 'the pigeon came back with it',
  },
  person: 'loft-7',
  open: async () => {
    const accepted: { to: string; text: string; choices: string[] }[] = []
    let refusing = false
    return {
      ports: {
        send: async ({ id, more, to, text, buttons }, run) => {
          run.beforeSend()
          if (refusing) {
            refusing = false
            return { id, more, accepted: false, reason: 'no such loft', at: 0 }
          }
          accepted.push({ to, text, choices: buttons.map(({ title }) => title) })
          return { id, more, accepted: true, providerId: `pigeon-${accepted.length}`, at: 0 }
        },
      },
      accepted: () => accepted,
      refuseNext: () => {
        refusing = true
      },
      close: async () => {},
    }
  },
})
