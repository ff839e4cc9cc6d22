/**
 * One turn of a conversation: collects texts and state changes. The texts of one turn go out as one message.
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
  /** Who ended the handover. */
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

  /** The channel of the conversation. @throws when there is no connector for it */
  get channel(): ConversationChannel {
    return channelNamed(this.settings.channels, this.#state.channel)
  }

  /** Whether the channel still accepts free text to the person. */
  get mayWrite(): boolean {
    return this.now <= freeTextUntil(this.channel, this.#state.lastInboundAt)
  }

  /** The time `ms` from now, scaled. */
  after(ms: number): number {
    return this.now + ms / this.settings.timeScale
  }

  phrase(key: PhraseKey, values: Values = {}): string {
    return phrase(this.language, key, values, this.#state.said)
  }

  /** Adds a phrase to the message, with the choices that answer it. */
  say(key: PhraseKey, values: Values = {}, choices: readonly ReplyButtonInput[] = []): this {
    return this.sayText(key, this.phrase(key, values), choices)
  }

  /** Adds a text made of several phrases; `key` names it in the event. */
  sayText(key: PhraseKey, text: string, choices: readonly ReplyButtonInput[] = []): this {
    this.#lines.push({ key, text })
    if (choices.length > 0) this.#choices = choices
    return this
  }

  get silent(): boolean {
    return this.#lines.length === 0
  }

  /** Sends the collected texts as one message. @param about the message that it answers */
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

  /** Sends an agent's text unchanged. */
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
      // Quotes the message that it answers only if a newer one has arrived since.
      replyTo: about === state.lastMessage ? null : about,
      lastInboundAt: state.lastInboundAt,
      createdAt: now,
    })
    const answers = reference(about)
    const detail = `${phrases.join(' ')} (answers ${answers})`
    this.event('MESSAGE_OUT', { message: id, detail, answers, phrases: [...phrases] })
    return this.set({ said: state.said + 1 })
  }

  /** Asks the venue to read its zones now. */
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
   * Hands the conversation over: raises an alert for the department and acknowledges once, with the expected time. While a human is
   * already awaited, the department's alert is updated; only a change to CRITICAL is acknowledged again.
   * @param acknowledge false if the person is told in another way, or has not asked
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
   * Ends the handover: resolves its alerts, clears the assignee and every open question.
   * @param by who ended it; null if nobody did
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

  /** The alert that tells a department of the handover. */
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
   * Ends the turn: returns the state, and publishes the profile if something visible has changed or a command was handled. While a
   * message is being understood more will follow soon, so the profile is published once, with the outcome of the message.
   */
  finish(): State {
    const { context } = this
    this.set({ updatedAt: this.now, waiting: this.#state.waiting.map(kept) })
    const [before, after] = [this.#before, this.#state]
    if (this.#mustPublish(before, after)) {
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

  #mustPublish(before: State | null, after: State): boolean {
    const { context } = this
    if (before === null || context.headers[COMMAND] !== undefined) return true
    // Changes that came with the message were held back while it was being understood.
    if (before.current !== null && after.current?.message !== before.current.message) return true
    if (after.current !== null) return false
    const [shown, shownBefore] = [after, { ...before, updatedAt: this.now }].map(state => JSON.stringify(profile(state, context)))
    return shown !== shownBefore
  }
}
