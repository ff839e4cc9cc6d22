/** Random records of every kind that the sinks project, as the actors would write them: keys live on, statuses come in any order. */
import type { RecordInputs, RecordName } from '../../schemas/types.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Append } from '../../topics/log.ts'
import type { Random } from '../simulation/scheduler.ts'

const CONVERSATIONS = 120
const VENUES = 40
const REPORTED = 60
const AT = Date.UTC(2026, 3, 28)
/** So that the load crosses the end of a month. */
const STEP_MS = 20_000

export class Load {
  readonly #codec: Codec
  readonly #random: Random
  #n = 0
  /** The newest messages that were sent: what is reported is reported of them. */
  readonly #sent: { id: string; conversation: string }[] = []

  constructor(codec: Codec, random: Random) {
    this.#codec = codec
    this.#random = random
  }

  /** The next records. */
  next(count: number): Append[] {
    return Array.from({ length: count }, () => this.#record())
  }

  #record(): Append {
    const n = this.#n++
    const random = this.#random
    const at = AT + n * STEP_MS
    const conversation = `main:c${random.below(CONVERSATIONS)}`
    const venue = `main:v${random.below(VENUES)}`
    const phone = `6680000${conversation.slice(6).padStart(4, '0')}`
    const sent = this.#sent.length === 0 ? { id: `out-${n}`, conversation } : random.pick(this.#sent)
    const make = <N extends RecordName>(topic: string, key: string, type: N, record: RecordInputs[N]): Append => ({
      topic,
      key,
      value: this.#codec.encode(topic, type, record),
    })
    switch (random.below(12)) {
      case 0:
      case 1:
        return make('conversation.inbox', conversation, 'ChatMessage', {
          id: `wamid.${n}`,
          channel: 'whatsapp',
          account: '1055',
          chat: phone,
          sender: { id: phone, name: 'Nok' },
          kind: 'TEXT',
          text: `message ${n} เบาเพลงหน่อย`,
          sentAt: at,
          receivedAt: at + 300,
        })
      case 2:
        this.#sent.push({ id: `out-${n}`, conversation })
        if (this.#sent.length > REPORTED) this.#sent.shift()
        return make('whatsapp.inbox', conversation, 'SendMessage', {
          id: `out-${n}`,
          conversation,
          channel: 'whatsapp',
          account: '1055',
          to: phone,
          text: `answer ${n}`,
          lastInboundAt: at,
          createdAt: at,
        })
      case 3:
        return make('conversation.inbox', sent.conversation, 'SendOutcome', {
          id: sent.id,
          status: random.pick(['QUEUED', 'SENT', 'DELIVERED', 'READ', 'FAILED', 'UNKNOWN']),
          providerId: random.chance(0.5) ? `wamid.${sent.id}` : null,
          at,
        })
      case 4:
        return make('conversation.inbox', sent.conversation, 'DeliveryStatus', {
          providerId: `wamid.${sent.id}`,
          status: random.pick(['SENT', 'DELIVERED', 'READ', 'FAILED']),
          errorCode: null,
          at,
        })
      case 5: {
        if (random.chance(0.05)) return { topic: 'conversation.profiles', key: conversation, value: null }
        return make('conversation.profiles', conversation, 'ConversationProfile', {
          conversation,
          channel: 'whatsapp',
          account: '1055',
          user: phone,
          state: random.pick(['INITIAL', 'CONFIRMING_VENUE', 'IDENTIFIED']),
          owner: random.pick(['BOT', 'WAITING', 'AGENT']),
          trust: 'HINTED',
          venue: random.chance(0.7) ? venue : null,
          commands: [{ id: `command-${n}`, outcome: 'handled' }],
          openedAt: AT,
          updatedAt: at,
          lastInboundAt: at,
        })
      }
      case 6:
        return make('conversation.events', conversation, 'ConversationEvent', {
          id: `ce-${n}`,
          conversation,
          channel: 'whatsapp',
          kind: random.pick(['OPENED', 'IDENTIFIED', 'INTENT', 'MESSAGE_IN', 'MESSAGE_OUT', 'OWNER_CHANGED']),
          venue: random.chance(0.7) ? venue : null,
          language: random.pick(['th', 'en']),
          detail: 'text',
          at,
        })
      case 7: {
        if (random.chance(0.05)) return { topic: 'venue.profiles', key: venue, value: null }
        return make('venue.profiles', venue, 'VenueProfile', {
          venue,
          name: `Venue ${venue} ${n}`,
          location: random.pick(['Sukhumvit Road, Bangkok', 'Patong, Phuket']),
          zones: Array.from({ length: random.below(4) }, (_, z) => ({
            zone: `z${z}`,
            name: `Zone ${z}`,
            status: random.pick(['ONLINE', 'OFFLINE', 'UNKNOWN'] as const),
            volume: random.below(17),
            asOf: at,
          })),
          updatedAt: at,
        })
      }
      case 8:
        return make('venue.events', venue, 'VenueEvent', {
          id: `ve-${n}`,
          venue,
          kind: random.pick(['ZONE_ONLINE', 'ZONE_OFFLINE', 'REQUEST', 'COMMAND', 'COMMAND_ENDED']),
          zone: `z${random.below(4)}`,
          request: `r-${random.below(n + 1)}`,
          command: `k-${random.below(n + 1)}`,
          outcome: random.pick([null, 'confirmed', 'refused']),
          at,
        })
      case 9: {
        const number = random.below(n + 1)
        const of = `main:v${number % VENUES}`
        return make('alerts', of, 'Alert', {
          id: `a-${number}`,
          venue: of,
          department: 'OPERATIONS',
          priority: 'HIGH',
          kind: 'zone_offline',
          text: `alert ${n}`,
          resolved: random.chance(0.3),
          at,
        })
      }
      case 10: {
        const id = `i-${random.below(200)}`
        return make('issues', id, 'Issue', {
          id,
          conversation,
          channel: 'whatsapp',
          venue,
          department: 'OPERATIONS',
          priority: 'HIGH',
          reason: 'no_sound',
          status: random.pick(['OPEN', 'ACKNOWLEDGED', 'RESOLVED']),
          openedAt: AT,
          updatedAt: at,
        })
      }
      default:
        return make('sync.log', 'sheets:main', 'SyncRun', {
          id: `s-${n}`,
          source: 'sheets:main',
          startedAt: at,
          endedAt: at + 40,
          outcome: random.pick(['OK', 'FAILED', 'UNCHANGED']),
          venues: random.below(100),
        })
    }
  }
}
