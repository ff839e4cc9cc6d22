/**
 * For tests: a person who writes to the conversation, and the replies.
 */
import { whatsappChannel } from '../../../connectors/whatsapp/channel.ts'
import { type KitEmit, type KitStep, testkit } from '../../../engine/testing/testkit.ts'
import type {
  ChatMessageInput,
  ConversationProfile,
  Issue,
  IntentInput,
  SendMessage,
  Understand,
  UnderstoodInput,
  VenueAnswerInput,
  ZoneRequest,
} from '../../../schemas/types.ts'
import { Tenants, tenantLookup } from '../../tenant/tenants.ts'
import { conversationActor } from '../actor.ts'
import { type ConversationSettings, defaultConversationSettings } from '../settings.ts'

export const SETTINGS: ConversationSettings = { ...defaultConversationSettings, channels: [whatsappChannel] }

export const LAGOON = { venue: 'main:1', name: 'Blue Lagoon Pattaya', location: 'Beach Road' }
export const BAY = { venue: 'main:2', name: 'Lotus Bay Pattaya', location: 'Jomtien' }
export const TERRACE = { venue: 'main:3', name: 'Siam Terrace', location: 'Silom Road' }
export const ZONES = [
  { zone: 'z-lobby', name: 'Lobby' },
  { zone: 'z-edge', name: 'Edge' },
  { zone: 'z-pool', name: 'Pool' },
]
export const PHONE = '66812345678'
export const SOMCHAI = { ...LAGOON, contact: 'Somchai Jaidee', position: 'Duty Manager' }

/** Wednesday 10:00 in Bangkok. */
export const MORNING = Date.UTC(2025, 5, 18, 3)

export type Meaning = Partial<UnderstoodInput>

export const exact = (venue: typeof LAGOON): Meaning => ({ match: 'EXACT', matches: [{ ...venue, score: 1 }], runnerUp: 0.4 })
export const likely = (venue: typeof LAGOON): Meaning => ({
  match: 'LIKELY',
  matches: [{ ...venue, score: 0.82 }],
  runnerUp: 0.5,
})
export const ambiguous = (...venues: (typeof LAGOON)[]): Meaning => ({
  match: 'AMBIGUOUS',
  matches: venues.map((v, n) => ({ ...v, score: 0.8 - n / 100 })),
})
export const intent = (kind: string, more: Partial<IntentInput> = {}): IntentInput => ({ kind, confidence: 0.92, ...more })
export const wants = (kind: string, more: Partial<IntentInput> = {}): Meaning => ({ intents: [intent(kind, more)] })
export const yes: Meaning = { reply: 'YES' }
export const no: Meaning = { reply: 'NO' }

type Port = (input: Understand) => UnderstoodInput

export interface Reply {
  /** The first of them, and all. */
  readonly step: KitStep
  readonly steps: readonly KitStep[]
  /** Messages sent, and the texts of them. */
  readonly sent: SendMessage[]
  readonly text: string
  readonly asked: ZoneRequest[]
  readonly alerts: { department: string; priority: string; text: string; id: string }[]
  readonly issues: readonly Issue[]
  /** The conversation as people saw it, each time that it was shown. */
  readonly profiles: readonly ConversationProfile[]
  events(kind?: string): { kind: string; detail: string | null; from: string | null; to: string | null }[]
}

export class Talk {
  readonly kit
  readonly #port: Port | null
  /** What the messages to come mean. */
  #meanings: Meaning[] = []
  /** Look-ups have no answer: what a message means comes as the result of an effect. */
  waiting = false
  #count = 0
  sender = { id: PHONE, phone: PHONE, name: 'Somchai' } as { id: string; phone: string | null; name: string | null }

  /** @param port understands every message, where meanings are not given by hand */
  constructor(settings: Partial<ConversationSettings> = {}, port: Port | null = null, tenants = new Tenants()) {
    const actor = conversationActor({ ...SETTINGS, ...settings })
    const understand = (input: Understand) => (this.waiting ? null : this.#understood(input, this.#meanings.shift()))
    const lookups = { understand: understand as never, tenant: tenantLookup(tenants) as never }
    this.kit = testkit(actor, { key: 'main:conversation', now: MORNING, lookups })
    this.#port = port
  }

  get state() {
    const { state } = this.kit
    if (state === null) throw new Error('nobody has written yet')
    return state
  }

  message(text: string | null, more: Partial<ChatMessageInput> = {}): ChatMessageInput {
    this.#count += 1
    return {
      id: `wamid.${this.#count}`,
      channel: 'whatsapp',
      account: '1000',
      chat: this.sender.id,
      sender: this.sender,
      kind: 'TEXT',
      text,
      sentAt: this.kit.now,
      receivedAt: this.kit.now,
      ...more,
    }
  }

  /** Writes a message, and lets everything be understood that it leads to: it first, the rest by `then`. */
  say(text: string, meaning: Meaning = {}, ...then: Meaning[]): Reply {
    return this.send(this.message(text), meaning, ...then)
  }

  press(actionId: string, title: string, meaning: Meaning = {}, ...then: Meaning[]): Reply {
    return this.send(this.message(title, { kind: 'BUTTON', actionId }), { action: actionId, ...meaning }, ...then)
  }

  send(message: ChatMessageInput, ...meanings: Meaning[]): Reply {
    this.#meanings = meanings
    const steps = [this.kit.handle('ChatMessage', message, { id: message.id })]
    for (let [run] = this.kit.started; run !== undefined; [run] = this.kit.started) {
      steps.push(this.kit.complete(run.attempt, this.#understood(run.input as Understand, this.#meanings.shift())))
    }
    return reply(steps)
  }

  #understood(input: Understand, meaning: Meaning = {}): UnderstoodInput {
    if (this.#port !== null) return this.#port(input)
    const { message } = input
    const language = input.language ?? 'en'
    const zones = input.venue === null ? [] : ZONES
    return { message, language, reply: 'NONE', override: 'NONE', match: 'NONE', sentiment: 'NEUTRAL', zones, ...meaning }
  }

  /** The venue answers the newest request, or the one given. */
  answer(outcome: VenueAnswerInput['outcome'], more: Partial<VenueAnswerInput> = {}): Reply {
    const request = this.state.requests.at(-1)
    if (request === undefined) throw new Error('nothing was asked of the venue')
    const base = { request: request.id, venue: LAGOON.venue, venueName: LAGOON.name, kind: request.kind, at: this.kit.now }
    return reply([this.kit.handle('VenueAnswer', { ...base, outcome, ...more })])
  }

  fire(name?: string): Reply {
    return reply([this.kit.fire(name)])
  }

  /** The contact on file writes for the first time, and is known. */
  static hinted(settings: Partial<ConversationSettings> = {}): Talk {
    const talk = new Talk(settings)
    talk.say('hello', { ...wants('greeting'), onFile: [SOMCHAI] })
    return talk
  }

  /** A stranger has gone through the whole dialogue. */
  static registered(settings: Partial<ConversationSettings> = {}): Talk {
    const talk = new Talk(settings)
    talk.say('hello', wants('greeting'))
    talk.say('blue lagoon pattaya', exact(LAGOON))
    talk.say('yes', yes)
    talk.say('John Smith', { person: 'John Smith' })
    talk.say('Operations Manager', { position: 'Operations Manager' })
    return talk
  }
}

function reply(steps: readonly KitStep[]): Reply {
  const emits = steps.flatMap(s => s.emits)
  const of = (type: string) => emits.filter((e: KitEmit) => e.type === type).map(e => e.record)
  const sent = of('SendMessage') as SendMessage[]
  return {
    step: steps[0] as KitStep,
    steps,
    sent,
    text: sent.map(m => m.text).join('\n---\n'),
    asked: of('ZoneRequest') as ZoneRequest[],
    alerts: of('Alert'),
    issues: of('Issue') as Issue[],
    profiles: of('ConversationProfile') as ConversationProfile[],
    events: kind => of('ConversationEvent').filter((e: { kind: string }) => kind === undefined || e.kind === kind),
  }
}
