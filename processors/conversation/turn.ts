/**
 * One turn of a conversation: collects what is to be said, and carries what changes. What is said in one turn goes out as
 * one message.
 */
import { handedOver } from '../../domain/alerts.ts'
import { channelNamed, freeTextUntil } from '../../domain/channel.ts'
import { COMMAND } from '../../engine/headers.ts'
import type {
  ConversationEventKind,
  ConversationSender,
  Department,
  HandedOver,
  Owner,
  Priority,
  ReplyButtonInput,
} from '../../schemas/types.ts'
import { type NewAlert, raiseAlert, resolveAlert } from '../../topics/alerts.ts'
import { conversationEvents, conversationProfiles, venueInbox } from '../../topics/catalog.ts'
import { reference } from '../../domain/ids.ts'
import type { Dialogue, State, TurnContext } from './context.ts'
import { expected, moreUrgent, type Route } from './handover.ts'
import { openIssue, publishIssue } from './issue.ts'
import { profile } from './profile.ts'
import { kept } from './queue.ts'
import type { ConversationChannel, ConversationSettings } from './settings.ts'
import { firstName, isLanguage, type Language, type Values, type PhraseKey, phrase } from './words.ts'

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
  #lines: { key: PhraseKey; text: string }[] = []
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

  phrase(key: PhraseKey, values: Values = {}): string {
    return phrase(this.language, key, values, this.#state.said)
  }

  /** Says something, with the choices that answer it. */
  say(key: PhraseKey, values: Values = {}, choices: readonly ReplyButtonInput[] = []): this {
    return this.sayText(key, this.phrase(key, values), choices)
  }

  /** Says a text that was put together of several words; `key` names it in the event. */
  sayText(key: PhraseKey, text: string, choices: readonly ReplyButtonInput[] = []): this {
    this.#lines.push({ key, text })
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
    const hello = state.greet ? `${this.phrase('greeting.prefix', { name: firstName(state.contactName ?? '') })} ` : ''
    this.#emit(
      hello + body,
      choices,
      about,
      this.#lines.map(line => line.key),
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
    const { handover, owner } = this.#state
    const open = owner === 'WAITING' ? handover : null
    const first = open?.first ?? context.id()
    const worse = open === null || moreUrgent(priority, open.priority)
    raiseAlert(
      context,
      this.#alert(first, department, open?.department === department && !worse ? open.priority : priority, reason),
    )
    const { at = now, respondedAt = null, departments = [] } = open ?? {}
    const raised = [...new Set([...departments, department])]
    const now_ = worse ? { first, department, priority, reason, at, respondedAt } : (open as HandedOver)
    this.set({ handover: { ...now_, departments: raised } })
    if (worse) this.event('HANDED_OVER', { to: department, detail: reason })
    this.own('WAITING', reason)
    if (!acknowledge) return this
    const when = expected(priority, now, this.settings.supportHours, this.language)
    if (worse && priority === 'CRITICAL') return this.say('handover.urgent', { when })
    return open === null ? this.say('handover.ack', { team: this.phrase(`team.${department}` as PhraseKey), when }) : this
  }

  /**
   * What was handed over has ended: its alerts are resolved, nobody of support has the conversation, no question is open.
   * @param by who ended it; null where nobody did
   */
  closeHandover(by: string | null): this {
    const { handover } = this.#state
    if (handover !== null) {
      const { first, departments, priority, reason } = handover
      for (const department of departments as Department[]) {
        resolveAlert(this.context, this.#alert(first, department, priority, reason))
      }
      this.event('RESOLVED', { detail: reason })
    }
    this.#endedBy = by
    return this.set({ handover: null, assignee: null, question: null, pending: null })
  }

  /** The alert of a department to what was handed over. */
  #alert(first: string, department: Department, priority: Priority, reason: string): NewAlert {
    const { venue, venueName, channel } = this.#state
    return {
      ...handedOver(first, department),
      venue,
      conversation: this.context.key,
      department,
      priority,
      text: `${venueName ?? 'Venue not identified'}: ${reason.replaceAll('_', ' ')} (${channel})`,
    }
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
      before && openIssue(before, context.key, supportHours),
      openIssue(after, context.key, supportHours),
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
