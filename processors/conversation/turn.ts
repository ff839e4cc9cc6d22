/**
 * One turn of a conversation: collects what is to be said, and carries what changes. What is said in one turn goes out as
 * one message.
 */
import { channelNamed, freeTextUntil } from '../../domain/channel.ts'
import type { Context } from '../../engine/actor.ts'
import { COMMAND } from '../../engine/headers.ts'
import type {
  ConversationEventKind,
  ConversationSender,
  Department,
  HandedOver,
  Owner,
  QueuedMessage,
  Records,
  ReplyButtonInput,
} from '../../schemas/types.ts'
import { alerts, type ChannelInbox, conversationEvents, conversationProfiles, issues, venueInbox } from '../../topics/catalog.ts'
import { reference } from '../../domain/ids.ts'
import { expected, moreUrgent, type Route } from './handover.ts'
import { issueOf, publishIssue } from './issue.ts'
import { profile } from './profile.ts'
import type { ConversationChannel, ConversationSettings } from './settings.ts'
import { firstName, isLanguage, type Language, type Values, type Word, words } from './words.ts'

export type State = Records['ConversationState']

export type Dialogue =
  | 'INITIAL'
  | 'ASKING_VENUE_NAME'
  | 'CONFIRMING_VENUE'
  | 'MULTIPLE_MATCHES'
  | 'ASKING_PERSON_NAME'
  | 'ASKING_POSITION'
  | 'ASKING_ISSUE'
  | 'IDENTIFIED'
  | 'NOT_FOUND'

/** Topics that every conversation writes to, besides the inboxes of its channels. */
export const EMITS = [venueInbox, conversationEvents, conversationProfiles, issues, alerts] as const

export const EFFECTS = {
  understand: { input: 'Understand', result: 'Understood', retry: 'idempotent', timeoutMs: 5_000 },
} as const

export const LOOKUPS = {
  /** Answers at once where the venue index has all that it takes; otherwise the effect of the same name waits for it. */
  understand: { input: 'Understand', result: 'Understood' },
  /** Answers where the tenant has settings that are not known yet. */
  tenant: { input: 'TenantAsked', result: 'TenantSettings', oncePerRecord: true },
} as const

export type TurnContext = Context<(typeof EMITS)[number] | ChannelInbox, typeof EFFECTS, typeof LOOKUPS>

const MAX_MESSAGES_WAITING = 20
/** Bytes of text that the state keeps of one message, and of all that wait: UTF-8 takes three for a Thai letter. */
const MAX_TEXT_BYTES = 1_500
const MAX_WAITING_TEXT_BYTES = 3_000

interface EventFields {
  readonly from?: string
  readonly to?: string
  readonly detail?: string
  readonly score?: number
  readonly runnerUp?: number | null
  readonly message?: string
  readonly request?: string
  readonly answers?: string
  readonly phrases?: string[]
}

export class Turn {
  readonly settings: ConversationSettings
  readonly context: TurnContext
  readonly #before: State | null
  #state: State
  #lines: { word: Word; text: string }[] = []
  #choices: readonly ReplyButtonInput[] = []
  /** Who ended what was handed over. */
  #endedBy: string | null = null

  constructor(settings: ConversationSettings, context: TurnContext, before: State | null, state: State) {
    this.settings = settings
    this.context = context
    this.#before = before
    this.#state = state
  }

  get state(): State {
    return this.#state
  }

  get now(): number {
    return this.context.now
  }

  get language(): Language {
    return isLanguage(this.#state.language) ? this.#state.language : this.settings.language
  }

  set(changed: Partial<State>): this {
    this.#state = { ...this.#state, ...changed }
    return this
  }

  /** The channel that the person writes on. @throws when there is no connector for it */
  get channel(): ConversationChannel {
    return channelNamed(this.settings.channels, this.#state.channel)
  }

  /** Whether the channel still accepts free text to the person. */
  get mayWrite(): boolean {
    return this.now <= freeTextUntil(this.channel, this.#state.lastInboundAt)
  }

  /** When a time of this length, in ms, is over. */
  after(ms: number): number {
    return this.now + ms / this.settings.timeScale
  }

  words(word: Word, values: Values = {}): string {
    return words(this.language, word, values, this.#state.said)
  }

  /** Says something, with the choices that answer it. */
  say(word: Word, values: Values = {}, choices: readonly ReplyButtonInput[] = []): this {
    return this.sayText(word, this.words(word, values), choices)
  }

  /** Says a text that was put together of several words; `word` names it in the event. */
  sayText(word: Word, text: string, choices: readonly ReplyButtonInput[] = []): this {
    this.#lines.push({ word, text })
    if (choices.length > 0) this.#choices = choices
    return this
  }

  get silent(): boolean {
    return this.#lines.length === 0
  }

  /** Sends what was said since the last time, as one message. @param about the message that it answers */
  send(about: string): this {
    if (this.#lines.length === 0) return this
    const { state } = this
    const choices = this.#choices
    const body = this.#lines.map(line => line.text).join('\n\n')
    const hello = state.greet ? `${this.words('greeting.prefix', { name: firstName(state.contactName ?? '') })} ` : ''
    this.#emit(
      hello + body,
      choices,
      about,
      this.#lines.map(line => line.word),
    )
    this.set({ greet: false })
    this.#lines = []
    this.#choices = []
    return this
  }

  /** Sends what a person of support wrote, as it is. */
  forward(text: string): this {
    return this.#emit(text, [], this.#state.lastMessage, ['agent'])
  }

  #emit(text: string, choices: readonly ReplyButtonInput[], about: string, phrases: readonly string[]): this {
    const { context, now, state } = this
    const id = context.id()
    context.emit(this.channel.inbox, context.key, 'SendMessage', {
      id,
      conversation: context.key,
      channel: state.channel,
      account: state.account,
      to: state.chat,
      text,
      buttons: [...choices],
      // Only an answer that comes after something newer shows what it answers.
      replyTo: about === state.lastMessage ? null : about,
      lastInboundAt: state.lastInboundAt,
      createdAt: now,
    })
    const answers = reference(about)
    const detail = `${phrases.join(' ')} (answers ${answers})`
    this.event('MESSAGE_OUT', { message: id, detail, answers, phrases: [...phrases] })
    return this.set({ said: state.said + 1 })
  }

  /** Has a venue's zones read. */
  refresh(venue: string): this {
    const { context, now } = this
    context.emit(venueInbox, venue, 'VenueRefresh', { id: context.id(), by: context.key, at: now })
    return this
  }

  event(kind: ConversationEventKind, fields: EventFields = {}): this {
    const { context } = this
    const { channel, venue, language } = this.#state
    context.emit(conversationEvents, context.key, 'ConversationEvent', {
      id: context.id(),
      conversation: context.key,
      channel,
      kind,
      venue,
      language,
      at: this.now,
      ...fields,
    })
    return this
  }

  moveTo(state: Dialogue): this {
    if (this.#state.state === state) return this
    this.event('STATE_CHANGED', { from: this.#state.state, to: state })
    return this.set({ state })
  }

  own(owner: Owner, reason: string): this {
    if (this.#state.owner === owner) return this
    this.event('OWNER_CHANGED', { from: this.#state.owner, to: owner, detail: reason })
    return this.set({ owner })
  }

  get waitsForHuman(): boolean {
    return this.#state.owner === 'WAITING'
  }

  /**
   * Hands the conversation over: an alert for the department, one acknowledgement with the expected time. What comes while a
   * human is already awaited makes the department's alert newer; only what has become critical is acknowledged again.
   * @param acknowledge false where the person is told in other words, or has not asked
   */
  handOver({ department, priority, reason }: Route, acknowledge = true): this {
    const { context, now } = this
    const { handover, venue, venueName, channel, owner } = this.#state
    const open = owner === 'WAITING' ? handover : null
    const first = open?.first ?? context.id()
    const worse = open === null || moreUrgent(priority, open.priority)
    // The key stays the conversation's, so that what is said of an alert later comes later.
    context.emit(alerts, context.key, 'Alert', {
      id: `${first}:${department}`,
      venue,
      conversation: context.key,
      department,
      priority: open?.department === department && !worse ? open.priority : priority,
      kind: 'handover',
      text: `${venueName ?? 'Venue not identified'}: ${reason.replaceAll('_', ' ')} (${channel})`,
      at: now,
    })
    const { at = now, respondedAt = null, departments = [] } = open ?? {}
    const raised = [...new Set([...departments, department])]
    const now_ = worse ? { first, department, priority, reason, at, respondedAt } : (open as HandedOver)
    this.set({ handover: { ...now_, departments: raised } })
    if (worse) this.event('HANDED_OVER', { to: department, detail: reason })
    this.own('WAITING', reason)
    if (!acknowledge) return this
    const when = expected(priority, now, this.settings.supportHours, this.language)
    if (worse && priority === 'CRITICAL') return this.say('handover.urgent', { when })
    return open === null ? this.say('handover.ack', { team: this.words(`team.${department}` as Word), when }) : this
  }

  /**
   * What was handed over has ended: its alerts are resolved, nobody of support has the conversation, no question is open.
   * @param by who ended it; null where nobody did
   */
  settle(by: string | null): this {
    const { context, now } = this
    const { handover, venue, venueName, channel } = this.#state
    for (const department of handover?.departments ?? []) {
      context.emit(alerts, context.key, 'Alert', {
        id: `${handover?.first}:${department}`,
        venue,
        conversation: context.key,
        department: department as Department,
        priority: handover?.priority ?? 'NORMAL',
        kind: 'handover',
        text: `${venueName ?? 'Venue not identified'}: ${handover?.reason.replaceAll('_', ' ')} (${channel})`,
        resolved: true,
        at: now,
      })
    }
    if (handover !== null) this.event('RESOLVED', { detail: handover.reason })
    this.#endedBy = by
    return this.set({ handover: null, assignee: null, question: null, pending: null })
  }

  /** The sender of a message. */
  sender(id: string): ConversationSender | undefined {
    return this.#state.senders.find(s => s.id === id)
  }

  /**
   * The end of the handler: the state to keep, and the profile where what people see of it has changed, or a command waits. While a
   * message is being made out, more is to come before long: then the profile goes out once, with what the message has led to.
   */
  finish(): State {
    const { context } = this
    this.set({ updatedAt: this.now, waiting: this.#state.waiting.map(kept) })
    const [before, after] = [this.#before, this.#state]
    if (this.#isShown(before, after)) {
      context.emit(conversationProfiles, context.key, 'ConversationProfile', profile(after, context))
    }
    const { supportHours } = this.settings
    publishIssue(
      context,
      before && issueOf(before, context.key, supportHours),
      issueOf(after, context.key, supportHours),
      this.#endedBy,
    )
    return after
  }

  #isShown(before: State | null, after: State): boolean {
    const { context } = this
    if (before === null || context.headers[COMMAND] !== undefined) return true
    // What came with the message that has been made out was not shown until now.
    if (before.current !== null && after.current?.message !== before.current.message) return true
    if (after.current !== null) return false
    const [shown, shownBefore] = [after, { ...before, updatedAt: this.now }].map(state => JSON.stringify(profile(state, context)))
    return shown !== shownBefore
  }
}

/** Whether another message can wait, within what a state may hold. */
export function roomFor(waiting: readonly QueuedMessage[], message: QueuedMessage): boolean {
  if (waiting.length === 0) return true
  const bytes = [...waiting, message].reduce((sum, { text }) => sum + Math.min(Buffer.byteLength(text), MAX_TEXT_BYTES), 0)
  return waiting.length < MAX_MESSAGES_WAITING && bytes <= MAX_WAITING_TEXT_BYTES
}

/** A message as the state keeps it. */
export function kept(message: QueuedMessage): QueuedMessage {
  return { ...message, text: keptText(message.text) }
}

export function keptText(text: string): string {
  if (Buffer.byteLength(text) <= MAX_TEXT_BYTES) return text
  return new TextDecoder().decode(Buffer.from(text).subarray(0, MAX_TEXT_BYTES)).replace(/\uFFFD+$/, '')
}

/** At most so many UTF-16 units, with an ellipsis where it was longer. */
export function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).replace(/[\uD800-\uDBFF]$/, '')}…`
}
