// Made from the .avsc files by `npm run schemas`. Do not edit.

/** An operation by a person or program through the API; no personal data. */
export interface AuditEvent {
  /** Id. */
  id: string
  /** Id of who did it: user, API key; empty where nobody was let in. */
  actor: string
  /** user, key, token, none. */
  actorKind: string
  /** Their role. */
  role: string
  /** What: the operation's id, such as conversations.reply. */
  action: string
  /** Id of what it was done to. */
  object: null | string
  /** done, accepted, refused, denied, failed. */
  outcome: string
  /** HTTP status. */
  status: number
  /** True where personal data was read or changed. */
  personal: boolean
  /** Id of the request. */
  requestId: string
  /** Id of the command, of a write. */
  command: null | string
  /** SHA-256 of what it was, where it changed. */
  before: null | string
  /** SHA-256 of what it became. */
  after: null | string
  /** When. */
  at: number
}

export interface AuditEventInput {
  /** Id. */
  id: string
  /** Id of who did it: user, API key; empty where nobody was let in. */
  actor: string
  /** user, key, token, none. */
  actorKind?: string | undefined
  /** Their role. */
  role?: string | undefined
  /** What: the operation's id, such as conversations.reply. */
  action: string
  /** Id of what it was done to. */
  object?: null | string | undefined
  /** done, accepted, refused, denied, failed. */
  outcome: string
  /** HTTP status. */
  status: number
  /** True where personal data was read or changed. */
  personal?: boolean | undefined
  /** Id of the request. */
  requestId: string
  /** Id of the command, of a write. */
  command?: null | string | undefined
  /** SHA-256 of what it was, where it changed. */
  before?: null | string | undefined
  /** SHA-256 of what it became. */
  after?: null | string | undefined
  /** When. */
  at: number
}

export type MessageStatus = 'UNKNOWN' | 'QUEUED' | 'SENT' | 'DELIVERED' | 'READ' | 'FAILED'

/** A part of a message that is too long for one. */
export interface DeliveryPart {
  /** Effect attempt of its send. */
  attempt: null | string
  /** The provider's id of it, once known. */
  providerId: null | string
  /** Its newest status. */
  status: MessageStatus
}

export interface DeliveryPartInput {
  /** Effect attempt of its send. */
  attempt?: null | string | undefined
  /** The provider's id of it, once known. */
  providerId?: null | string | undefined
  /** Its newest status. */
  status: MessageStatus
}

/** A message that we sent, or tried to send. */
export interface Delivery {
  /** Our id of the message. */
  id: string
  /** Effect attempt of the send, echoed by the provider; null where none was made, and where the message has parts. */
  attempt: null | string
  /** The provider's id, once known; of a message in parts that of its last part. */
  providerId: null | string
  /** The newest status passed on, of the whole message. */
  status: MessageStatus
  /** True while an alert about it is open. */
  alerted: boolean
  /** When it got that status. */
  at: number
  /** What became of each part, in order; empty for a message in one. */
  parts: DeliveryPart[]
}

export interface DeliveryInput {
  /** Our id of the message. */
  id: string
  /** Effect attempt of the send, echoed by the provider; null where none was made, and where the message has parts. */
  attempt?: null | string | undefined
  /** The provider's id, once known; of a message in parts that of its last part. */
  providerId?: null | string | undefined
  /** The newest status passed on, of the whole message. */
  status: MessageStatus
  /** True while an alert about it is open. */
  alerted?: boolean | undefined
  /** When it got that status. */
  at: number
  /** What became of each part, in order; empty for a message in one. */
  parts?: DeliveryPartInput[] | undefined
}

/** State of a channel's delivery actor: the newest messages sent in one conversation. */
export interface DeliveryState {
  /** The newest messages sent, oldest first. */
  sends: Delivery[]
}

export interface DeliveryStateInput {
  /** The newest messages sent, oldest first. */
  sends?: DeliveryInput[] | undefined
}

/** Result of a channel's effect `send`. The registry knows it by its first namespace, which therefore stays. */
export interface SendResult {
  /** Our id of the message. */
  id: string
  /** True when the provider accepted it. */
  accepted: boolean
  /** The provider's id of the message. */
  providerId: null | string
  /** The provider's error code, when it was not accepted. */
  errorCode: null | number
  /** Why it was not accepted, in the provider's words. */
  reason: string
  /** When the provider answered. */
  at: number
  /** As the message sent has it: it was a part, and others of the same message follow, so that the message is not sent yet. */
  more: boolean
}

export interface SendResultInput {
  /** Our id of the message. */
  id: string
  /** True when the provider accepted it. */
  accepted: boolean
  /** The provider's id of the message. */
  providerId?: null | string | undefined
  /** The provider's error code, when it was not accepted. */
  errorCode?: null | number | undefined
  /** Why it was not accepted, in the provider's words. */
  reason?: string | undefined
  /** When the provider answered. */
  at: number
  /** As the message sent has it: it was a part, and others of the same message follow, so that the message is not sent yet. */
  more?: boolean | undefined
}

export type AgentActionKind = 'UNKNOWN' | 'TAKE_OVER' | 'HAND_BACK' | 'REPLY' | 'NOTE' | 'ASSIGN' | 'RESOLVE' | 'APPROVE'

export type Trust = 'UNKNOWN' | 'CLAIMED' | 'HINTED' | 'BOUND'

/** What a person of support does in a conversation: a command. */
export interface AgentAction {
  /** Id of the command. */
  id: string
  /** What. */
  kind: AgentActionKind
  /** Id of the person of support. */
  by: string
  /** Their name. Personal data. */
  byName: string
  /** Text of REPLY and NOTE; why, of RESOLVE and APPROVE. Personal data. */
  text: null | string
  /** Id of who gets it, of ASSIGN; null for nobody. */
  assignee: null | string
  /** Sender whose trust is set, of APPROVE. Personal data. */
  sender: null | string
  /** Venue at which it is set, of APPROVE: refused where the conversation is of another by now. */
  venue: null | string
  /** Level, of APPROVE. */
  trust: Trust
  /** When. */
  at: number
}

export interface AgentActionInput {
  /** Id of the command. */
  id: string
  /** What. */
  kind: AgentActionKind
  /** Id of the person of support. */
  by: string
  /** Their name. Personal data. */
  byName?: string | undefined
  /** Text of REPLY and NOTE; why, of RESOLVE and APPROVE. Personal data. */
  text?: null | string | undefined
  /** Id of who gets it, of ASSIGN; null for nobody. */
  assignee?: null | string | undefined
  /** Sender whose trust is set, of APPROVE. Personal data. */
  sender?: null | string | undefined
  /** Venue at which it is set, of APPROVE: refused where the conversation is of another by now. */
  venue?: null | string | undefined
  /** Level, of APPROVE. */
  trust?: Trust | undefined
  /** When. */
  at: number
}

/** Who wrote. */
export interface Sender {
  /** The provider's user id. Personal data. */
  id: string
  /** Phone in E.164 digits, where the channel shows one. Personal data. */
  phone: null | string
  /** Display name given by the channel. Personal data. */
  name: null | string
}

export interface SenderInput {
  /** The provider's user id. Personal data. */
  id: string
  /** Phone in E.164 digits, where the channel shows one. Personal data. */
  phone?: null | string | undefined
  /** Display name given by the channel. Personal data. */
  name?: null | string | undefined
}

export type MessageKind = 'UNKNOWN' | 'TEXT' | 'BUTTON' | 'LIST' | 'STICKER' | 'MEDIA' | 'LOCATION' | 'CONTACT' | 'REACTION' | 'OTHER'

export type ChatKind = 'UNKNOWN' | 'PRIVATE' | 'GROUP'

/** A file that came with a message; the file itself stays with the provider. */
export interface Attachment {
  /** The provider's id of the file. */
  id: string
  /** Its media type, such as image/jpeg. */
  mimeType: null | string
  /** Its name, as the sender has it. Personal data. */
  fileName: null | string
  /** Its size, where the provider says it. */
  bytes: null | number
}

export interface AttachmentInput {
  /** The provider's id of the file. */
  id: string
  /** Its media type, such as image/jpeg. */
  mimeType?: null | string | undefined
  /** Its name, as the sender has it. Personal data. */
  fileName?: null | string | undefined
  /** Its size, where the provider says it. */
  bytes?: null | number | undefined
}

/** A message from a person, as the channel brought it. */
export interface ChatMessage {
  /** The provider's message id. */
  id: string
  /** Name of the channel, such as whatsapp; each has its own inbox. */
  channel: string
  /** Our account at the provider: phone number id, bot id, instance. */
  account: string
  /** Group or room, else the user's id. Personal data. */
  chat: string
  /** Who wrote. */
  sender: Sender
  /** What it is. */
  kind: MessageKind
  /** Text, or the title of the button or row chosen. Personal data. */
  text: null | string
  /** Id of the button or row chosen. */
  actionId: null | string
  /** Provider's id of the message it replies to. */
  replyTo: null | string
  /** The provider's time. */
  sentAt: number
  /** When the webhook came in. */
  receivedAt: number
  /** True where the text was longer than we keep and was cut. */
  truncated: boolean
  /** PRIVATE: one person and us. GROUP: a group or a room. UNKNOWN is read as PRIVATE. */
  chatKind: ChatKind
  /** False in a group where nobody spoke to us: it is not answered. */
  addressed: boolean
  /** What the provider wants with a reply, where it gives one. */
  replyToken: null | string
  /** Until when the reply token is valid; null where there is none. */
  replyTokenExpiresAt: null | number
  /** Files that came with it. */
  attachments: Attachment[]
  /** Subject, where the channel has one, such as e-mail. Personal data. */
  subject: null | string
  /** Provider's id of the earlier message that this one changes or withdraws. */
  editOf: null | string
  /** True where the person has withdrawn the message named in editOf. */
  revoked: boolean
}

export interface ChatMessageInput {
  /** The provider's message id. */
  id: string
  /** Name of the channel, such as whatsapp; each has its own inbox. */
  channel: string
  /** Our account at the provider: phone number id, bot id, instance. */
  account: string
  /** Group or room, else the user's id. Personal data. */
  chat: string
  /** Who wrote. */
  sender: SenderInput
  /** What it is. */
  kind: MessageKind
  /** Text, or the title of the button or row chosen. Personal data. */
  text?: null | string | undefined
  /** Id of the button or row chosen. */
  actionId?: null | string | undefined
  /** Provider's id of the message it replies to. */
  replyTo?: null | string | undefined
  /** The provider's time. */
  sentAt: number
  /** When the webhook came in. */
  receivedAt: number
  /** True where the text was longer than we keep and was cut. */
  truncated?: boolean | undefined
  /** PRIVATE: one person and us. GROUP: a group or a room. UNKNOWN is read as PRIVATE. */
  chatKind?: ChatKind | undefined
  /** False in a group where nobody spoke to us: it is not answered. */
  addressed?: boolean | undefined
  /** What the provider wants with a reply, where it gives one. */
  replyToken?: null | string | undefined
  /** Until when the reply token is valid; null where there is none. */
  replyTokenExpiresAt?: null | number | undefined
  /** Files that came with it. */
  attachments?: AttachmentInput[] | undefined
  /** Subject, where the channel has one, such as e-mail. Personal data. */
  subject?: null | string | undefined
  /** Provider's id of the earlier message that this one changes or withdraws. */
  editOf?: null | string | undefined
  /** True where the person has withdrawn the message named in editOf. */
  revoked?: boolean | undefined
}

export type ConversationEventKind = 'UNKNOWN' | 'OPENED' | 'IDENTIFIED' | 'STATE_CHANGED' | 'INTENT' | 'OWNER_CHANGED' | 'MESSAGE_IN' | 'MESSAGE_OUT' | 'MESSAGE_STATUS' | 'REQUEST' | 'REQUEST_ENDED' | 'DEDUPED' | 'HANDED_OVER' | 'RESPONDED' | 'RESOLVED' | 'ASSIGNED' | 'NOTE' | 'TRUST_CHANGED' | 'ERASED'

/** Something that happened in a conversation; no text, no personal data. */
export interface ConversationEvent {
  /** Id. */
  id: string
  /** Conversation. */
  conversation: string
  /** Channel. */
  channel: string
  /** What. */
  kind: ConversationEventKind
  /** Venue id. */
  venue: null | string
  /** th or en. */
  language: null | string
  /** Before. */
  from: null | string
  /** After. */
  to: null | string
  /** Intent, reason, evidence. */
  detail: null | string
  /** Score of the match, or confidence. */
  score: null | number
  /** Score of the second best. */
  runnerUp: null | number
  /** Message id. */
  message: null | string
  /** Request id. */
  request: null | string
  /** When. */
  at: number
  /** MESSAGE_OUT: the message that it answers, as a digest of its id; null in events written before the field was. */
  answers: null | string
  /** MESSAGE_OUT: the phrases that were said; agent where a person wrote it. */
  phrases: string[]
}

export interface ConversationEventInput {
  /** Id. */
  id: string
  /** Conversation. */
  conversation: string
  /** Channel. */
  channel: string
  /** What. */
  kind: ConversationEventKind
  /** Venue id. */
  venue?: null | string | undefined
  /** th or en. */
  language?: null | string | undefined
  /** Before. */
  from?: null | string | undefined
  /** After. */
  to?: null | string | undefined
  /** Intent, reason, evidence. */
  detail?: null | string | undefined
  /** Score of the match, or confidence. */
  score?: null | number | undefined
  /** Score of the second best. */
  runnerUp?: null | number | undefined
  /** Message id. */
  message?: null | string | undefined
  /** Request id. */
  request?: null | string | undefined
  /** When. */
  at: number
  /** MESSAGE_OUT: the message that it answers, as a digest of its id; null in events written before the field was. */
  answers?: null | string | undefined
  /** MESSAGE_OUT: the phrases that were said; agent where a person wrote it. */
  phrases?: string[] | undefined
}

export type Owner = 'UNKNOWN' | 'BOT' | 'WAITING' | 'AGENT' | 'WATCH'

/** A sender in the conversation. */
export interface SenderView {
  /** User id. Personal data. */
  id: string
  /** Name. Personal data. */
  name: null | string
  /** claimed, hinted, bound. */
  trust: string
}

export interface SenderViewInput {
  /** User id. Personal data. */
  id: string
  /** Name. Personal data. */
  name?: null | string | undefined
  /** claimed, hinted, bound. */
  trust: string
}

/** A zone request and its fate. */
export interface RequestView {
  /** Id. */
  id: string
  /** volume_down … */
  kind: string
  /** Zone id. */
  zone: null | string
  /** Zone name. */
  zoneName: null | string
  /** Value asked for. */
  value: null | number
  /** pending, confirmed, refused, unverified, expired, unknown. */
  outcome: string
  /** Why. */
  reason: string
  /** Id of the command. */
  command: null | string
  /** When asked. */
  at: number
  /** When it ended. */
  endedAt: null | number
}

export interface RequestViewInput {
  /** Id. */
  id: string
  /** volume_down … */
  kind: string
  /** Zone id. */
  zone?: null | string | undefined
  /** Zone name. */
  zoneName?: null | string | undefined
  /** Value asked for. */
  value?: null | number | undefined
  /** pending, confirmed, refused, unverified, expired, unknown. */
  outcome: string
  /** Why. */
  reason?: string | undefined
  /** Id of the command. */
  command?: null | string | undefined
  /** When asked. */
  at: number
  /** When it ended. */
  endedAt?: null | number | undefined
}

/** Outcome of a command to this actor. */
export interface CommandOutcome {
  /** Id. */
  id: string
  /** handled, refused, skipped, parked. */
  outcome: string
  /** Why. */
  reason: string
  /** Why it was refused, as a code, such as taken_by_other; null otherwise, and in records written before the field was. */
  code: null | string
}

export interface CommandOutcomeInput {
  /** Id. */
  id: string
  /** handled, refused, skipped, parked. */
  outcome: string
  /** Why. */
  reason?: string | undefined
  /** Why it was refused, as a code, such as taken_by_other; null otherwise, and in records written before the field was. */
  code?: null | string | undefined
}

/** A conversation as people see it. */
export interface ConversationProfile {
  /** Id. */
  conversation: string
  /** Channel. */
  channel: string
  /** Our account. */
  account: string
  /** The provider's user id. Personal data. */
  user: string
  /** One of the nine. */
  state: string
  /** Who answers. */
  owner: Owner
  /** Trust of the sender; in a group the newest sender's. */
  trust: Trust
  /** Senders. */
  senders: SenderView[]
  /** th or en. */
  language: null | string
  /** Venue id. */
  venue: null | string
  /** Venue name. */
  venueName: null | string
  /** Contact's name. Personal data. */
  contactName: null | string
  /** Contact's position. */
  contactPosition: null | string
  /** Issue condensed. Personal data. */
  issue: null | string
  /** The newest requests, bounded. */
  requests: RequestView[]
  /** Id of the person of support who has it. */
  assignee: null | string
  /** The newest command ids with their outcome, bounded. */
  commands: CommandOutcome[]
  /** When it began. */
  openedAt: number
  /** When it last changed. */
  updatedAt: number
  /** When the person last wrote. */
  lastInboundAt: number
}

export interface ConversationProfileInput {
  /** Id. */
  conversation: string
  /** Channel. */
  channel: string
  /** Our account. */
  account: string
  /** The provider's user id. Personal data. */
  user: string
  /** One of the nine. */
  state: string
  /** Who answers. */
  owner: Owner
  /** Trust of the sender; in a group the newest sender's. */
  trust: Trust
  /** Senders. */
  senders?: SenderViewInput[] | undefined
  /** th or en. */
  language?: null | string | undefined
  /** Venue id. */
  venue?: null | string | undefined
  /** Venue name. */
  venueName?: null | string | undefined
  /** Contact's name. Personal data. */
  contactName?: null | string | undefined
  /** Contact's position. */
  contactPosition?: null | string | undefined
  /** Issue condensed. Personal data. */
  issue?: null | string | undefined
  /** The newest requests, bounded. */
  requests?: RequestViewInput[] | undefined
  /** Id of the person of support who has it. */
  assignee?: null | string | undefined
  /** The newest command ids with their outcome, bounded. */
  commands?: CommandOutcomeInput[] | undefined
  /** When it began. */
  openedAt: number
  /** When it last changed. */
  updatedAt: number
  /** When the person last wrote. */
  lastInboundAt: number
}

/** A sender in the conversation. */
export interface ConversationSender {
  /** The provider's user id. Personal data. */
  id: string
  /** Phone in E.164 digits. Personal data. */
  phone: null | string
  /** Display name given by the channel. Personal data. */
  name: null | string
  /** Trust at the venue identified. */
  trust: Trust
  /** Venue at which support has decided the trust, whatever is on file. */
  decided: null | string
}

export interface ConversationSenderInput {
  /** The provider's user id. Personal data. */
  id: string
  /** Phone in E.164 digits. Personal data. */
  phone?: null | string | undefined
  /** Display name given by the channel. Personal data. */
  name?: null | string | undefined
  /** Trust at the venue identified. */
  trust: Trust
  /** Venue at which support has decided the trust, whatever is on file. */
  decided?: null | string | undefined
}

/** A venue offered to the person. */
export interface Candidate {
  /** Venue id. */
  venue: string
  /** Name. */
  name: string
  /** Location. */
  location: string
  /** Score of the match. */
  score: number
  /** Contact on file, where the sender's phone is. Personal data. */
  contact: null | string
  /** Position on file. */
  position: null | string
}

export interface CandidateInput {
  /** Venue id. */
  venue: string
  /** Name. */
  name: string
  /** Location. */
  location?: string | undefined
  /** Score of the match. */
  score?: number | undefined
  /** Contact on file, where the sender's phone is. Personal data. */
  contact?: null | string | undefined
  /** Position on file. */
  position?: null | string | undefined
}

/** A request that waits until the venue and the contact are known. */
export interface PendingRequest {
  /** Id of the chat message. */
  message: string
  /** Its text. Personal data. */
  text: string
  /** Who asked. Personal data. */
  sender: string
  /** The provider's time. */
  sentAt: number
  /** Issue condensed, where it is one. Personal data. */
  issue: null | string
  /** venue: to be dealt with once the venue is known; contact: once the contact is known too. */
  need: string
  /** True for an urgent one: only the venue is asked. */
  urgent: boolean
}

export interface PendingRequestInput {
  /** Id of the chat message. */
  message: string
  /** Its text. Personal data. */
  text: string
  /** Who asked. Personal data. */
  sender: string
  /** The provider's time. */
  sentAt: number
  /** Issue condensed, where it is one. Personal data. */
  issue?: null | string | undefined
  /** venue: to be dealt with once the venue is known; contact: once the contact is known too. */
  need: string
  /** True for an urgent one: only the venue is asked. */
  urgent?: boolean | undefined
}

export type ZoneRequestKind = 'UNKNOWN' | 'VOLUME_UP' | 'VOLUME_DOWN' | 'VOLUME_SET' | 'MUTE' | 'UNMUTE' | 'PLAY' | 'PAUSE' | 'SKIP' | 'WHAT_PLAYING' | 'STATUS' | 'LIST_ZONES'

/** A control that a question is open about. */
export interface Wish {
  /** What. */
  kind: ZoneRequestKind
  /** Zone ids. */
  zones: string[]
  /** Name of the zone, where there is one. */
  zoneName: null | string
  /** True for all zones. */
  allZones: boolean
  /** Volume or steps. */
  value: null | number
  /** Pause for how long, ms. */
  durationMs: null | number
  /** Who asked. Personal data. */
  sender: string
  /** Id of the chat message. */
  message: string
  /** When it was asked, provider's time. */
  sentAt: number
}

export interface WishInput {
  /** What. */
  kind: ZoneRequestKind
  /** Zone ids. */
  zones?: string[] | undefined
  /** Name of the zone, where there is one. */
  zoneName?: null | string | undefined
  /** True for all zones. */
  allZones?: boolean | undefined
  /** Volume or steps. */
  value?: null | number | undefined
  /** Pause for how long, ms. */
  durationMs?: null | number | undefined
  /** Who asked. Personal data. */
  sender: string
  /** Id of the chat message. */
  message: string
  /** When it was asked, provider's time. */
  sentAt: number
}

/** A zone offered. */
export interface OfferedZone {
  /** Zone id. */
  zone: string
  /** Its name. */
  name: string
}

export interface OfferedZoneInput {
  /** Zone id. */
  zone: string
  /** Its name. */
  name: string
}

/** A question about a request that we asked. */
export interface OpenQuestion {
  /** zone, confirm, old, solved or clarify. */
  type: string
  /** What it is about, at most 3. */
  wishes: Wish[]
  /** Zones offered, in the order offered, at most 30. */
  zones: OfferedZone[]
  /** Answers that were none. */
  tries: number
}

export interface OpenQuestionInput {
  /** zone, confirm, old, solved or clarify. */
  type: string
  /** What it is about, at most 3. */
  wishes?: WishInput[] | undefined
  /** Zones offered, in the order offered, at most 30. */
  zones?: OfferedZoneInput[] | undefined
  /** Answers that were none. */
  tries?: number | undefined
}

export type Department = 'UNKNOWN' | 'OPERATIONS' | 'DESIGN' | 'SALES' | 'FINANCE' | 'GENERAL'

export type Priority = 'UNKNOWN' | 'CRITICAL' | 'HIGH' | 'NORMAL' | 'INFO'

/** What was handed over to a human. */
export interface HandedOver {
  /** Id of the hand-over; with the department, that of its alert. */
  first: string
  /** Who. */
  department: Department
  /** How urgent. */
  priority: Priority
  /** When. */
  at: number
  /** Why, as a code. */
  reason: string
  /** When the person first heard from a human. */
  respondedAt: null | number
  /** Departments that an alert was raised for. */
  departments: string[]
}

export interface HandedOverInput {
  /** Id of the hand-over; with the department, that of its alert. */
  first: string
  /** Who. */
  department: Department
  /** How urgent. */
  priority: Priority
  /** When. */
  at: number
  /** Why, as a code. */
  reason?: string | undefined
  /** When the person first heard from a human. */
  respondedAt?: null | number | undefined
  /** Departments that an alert was raised for. */
  departments?: string[] | undefined
}

/** A message that is being understood, or waits for it. */
export interface QueuedMessage {
  /** The provider's message id. */
  message: string
  /** What it is. */
  kind: MessageKind
  /** Its text, cut where the state keeps it. Personal data. */
  text: string
  /** Id of the button or row chosen. */
  actionId: null | string
  /** Sender's id. Personal data. */
  sender: string
  /** The provider's time. */
  sentAt: number
  /** True for a request of before, understood again now that the venue is known. */
  again: boolean
}

export interface QueuedMessageInput {
  /** The provider's message id. */
  message: string
  /** What it is. */
  kind: MessageKind
  /** Its text, cut where the state keeps it. Personal data. */
  text: string
  /** Id of the button or row chosen. */
  actionId?: null | string | undefined
  /** Sender's id. Personal data. */
  sender: string
  /** The provider's time. */
  sentAt: number
  /** True for a request of before, understood again now that the venue is known. */
  again?: boolean | undefined
}

/** A zone request and its fate. */
export interface ConversationRequest {
  /** Id. */
  id: string
  /** What. */
  kind: ZoneRequestKind
  /** Zone ids; empty for all. */
  zones: string[]
  /** Name of the zone, where there is one. */
  zoneName: null | string
  /** Value asked for. */
  value: null | number
  /** pending, confirmed, refused, unverified, expired, unknown. */
  outcome: string
  /** Why. */
  reason: string
  /** Id of the command. */
  command: null | string
  /** Who asked. Personal data. */
  sender: string
  /** Id of the chat message. */
  message: string
  /** Intent, where it is the status check of a reported trouble. */
  trouble: null | string
  /** When asked. */
  at: number
  /** When it ended. */
  endedAt: null | number
}

export interface ConversationRequestInput {
  /** Id. */
  id: string
  /** What. */
  kind: ZoneRequestKind
  /** Zone ids; empty for all. */
  zones?: string[] | undefined
  /** Name of the zone, where there is one. */
  zoneName?: null | string | undefined
  /** Value asked for. */
  value?: null | number | undefined
  /** pending, confirmed, refused, unverified, expired, unknown. */
  outcome: string
  /** Why. */
  reason?: string | undefined
  /** Id of the command. */
  command?: null | string | undefined
  /** Who asked. Personal data. */
  sender: string
  /** Id of the chat message. */
  message: string
  /** Intent, where it is the status check of a reported trouble. */
  trouble?: null | string | undefined
  /** When asked. */
  at: number
  /** When it ended. */
  endedAt?: null | number | undefined
}

/** What a tenant has decided for its venues and its support, as a whole: the newest record of a tenant counts. */
export interface TenantSettings {
  /** The tenant. */
  tenant: string
  /** Grows by one with each change; the first one is 1. */
  version: number
  /** IANA time zone, or an offset such as +07:00: of support, and of people whose venue names none. */
  timeZone: string
  /** When support opens, HH:MM in the time zone. */
  supportFrom: string
  /** When support closes, HH:MM in the time zone; later than `supportFrom`, 24:00 at most. */
  supportTo: string
  /** From when nothing is sent that nobody asked for, HH:MM in the time zone; null where there are no quiet hours. */
  quietFrom: null | string
  /** Until when, HH:MM; may be of the next day. */
  quietTo: null | string
  /** Calling code of phones written without one. */
  countryCode: string
  /** Language until a person has shown theirs: en or th. */
  language: string
  /** Least trust of a sender who may control zones: CLAIMED, HINTED or BOUND. */
  controlTrust: Trust
  /** Id of whoever set them; empty for the first ones, which come from the environment. */
  by: string
  /** When they were set. */
  at: number
  /** The newest command ids with their outcome, bounded; none where the settings are kept elsewhere. */
  commands: CommandOutcome[]
}

export interface TenantSettingsInput {
  /** The tenant. */
  tenant: string
  /** Grows by one with each change; the first one is 1. */
  version: number
  /** IANA time zone, or an offset such as +07:00: of support, and of people whose venue names none. */
  timeZone?: string | undefined
  /** When support opens, HH:MM in the time zone. */
  supportFrom?: string | undefined
  /** When support closes, HH:MM in the time zone; later than `supportFrom`, 24:00 at most. */
  supportTo?: string | undefined
  /** From when nothing is sent that nobody asked for, HH:MM in the time zone; null where there are no quiet hours. */
  quietFrom?: null | string | undefined
  /** Until when, HH:MM; may be of the next day. */
  quietTo?: null | string | undefined
  /** Calling code of phones written without one. */
  countryCode?: string | undefined
  /** Language until a person has shown theirs: en or th. */
  language?: string | undefined
  /** Least trust of a sender who may control zones: CLAIMED, HINTED or BOUND. */
  controlTrust?: Trust | undefined
  /** Id of whoever set them; empty for the first ones, which come from the environment. */
  by?: string | undefined
  /** When they were set. */
  at?: number | undefined
  /** The newest command ids with their outcome, bounded; none where the settings are kept elsewhere. */
  commands?: CommandOutcomeInput[] | undefined
}

/** State of a conversation. */
export interface ConversationState {
  /** Channel. */
  channel: string
  /** Our account. */
  account: string
  /** Group or room, else the user's id. Personal data. */
  chat: string
  /** Sender whose message was dealt with last. Personal data. */
  user: string
  /** One of the nine. */
  state: string
  /** Who answers. */
  owner: Owner
  /** th or en. */
  language: null | string
  /** The newest senders, at most 10. */
  senders: ConversationSender[]
  /** Venue identified. */
  venue: null | string
  /** Its name. */
  venueName: null | string
  /** Its location. */
  venueLocation: null | string
  /** Contact's name. Personal data. */
  contactName: null | string
  /** Contact's position. */
  contactPosition: null | string
  /** Issue condensed. Personal data. */
  issue: null | string
  /** Venues offered, in the order offered, at most 5. */
  candidates: Candidate[]
  /** Score of the second best match. */
  runnerUp: null | number
  /** Failed tries at the present question. */
  tries: number
  /** True when the person writes again after a long absence. */
  returning: boolean
  /** True until a contact on file has been greeted by name. */
  greet: boolean
  /** Request that waits. */
  pending: null | PendingRequest
  /** Question that is open. */
  question: null | OpenQuestion
  /** True once thanks were answered; nothing more until something else is said. */
  thanked: boolean
  /** Hand-over under way. */
  handover: null | HandedOver
  /** Id of the person of support who has it. */
  assignee: null | string
  /** Message that is being understood. */
  current: null | QueuedMessage
  /** Messages that wait for it. */
  waiting: QueuedMessage[]
  /** The newest requests, at most 20. */
  requests: ConversationRequest[]
  /** Messages sent: chooses among variants of words. */
  said: number
  /** Id of the newest message. */
  lastMessage: string
  /** When it began. */
  openedAt: number
  /** When it last changed. */
  updatedAt: number
  /** When the person last wrote, provider's time. */
  lastInboundAt: number
  /** Settings of the tenant, as last looked up; null for those of the process. */
  tenant: null | TenantSettings
}

export interface ConversationStateInput {
  /** Channel. */
  channel: string
  /** Our account. */
  account: string
  /** Group or room, else the user's id. Personal data. */
  chat: string
  /** Sender whose message was dealt with last. Personal data. */
  user: string
  /** One of the nine. */
  state: string
  /** Who answers. */
  owner: Owner
  /** th or en. */
  language?: null | string | undefined
  /** The newest senders, at most 10. */
  senders?: ConversationSenderInput[] | undefined
  /** Venue identified. */
  venue?: null | string | undefined
  /** Its name. */
  venueName?: null | string | undefined
  /** Its location. */
  venueLocation?: null | string | undefined
  /** Contact's name. Personal data. */
  contactName?: null | string | undefined
  /** Contact's position. */
  contactPosition?: null | string | undefined
  /** Issue condensed. Personal data. */
  issue?: null | string | undefined
  /** Venues offered, in the order offered, at most 5. */
  candidates?: CandidateInput[] | undefined
  /** Score of the second best match. */
  runnerUp?: null | number | undefined
  /** Failed tries at the present question. */
  tries?: number | undefined
  /** True when the person writes again after a long absence. */
  returning?: boolean | undefined
  /** True until a contact on file has been greeted by name. */
  greet?: boolean | undefined
  /** Request that waits. */
  pending?: null | PendingRequestInput | undefined
  /** Question that is open. */
  question?: null | OpenQuestionInput | undefined
  /** True once thanks were answered; nothing more until something else is said. */
  thanked?: boolean | undefined
  /** Hand-over under way. */
  handover?: null | HandedOverInput | undefined
  /** Id of the person of support who has it. */
  assignee?: null | string | undefined
  /** Message that is being understood. */
  current?: null | QueuedMessageInput | undefined
  /** Messages that wait for it. */
  waiting?: QueuedMessageInput[] | undefined
  /** The newest requests, at most 20. */
  requests?: ConversationRequestInput[] | undefined
  /** Messages sent: chooses among variants of words. */
  said?: number | undefined
  /** Id of the newest message. */
  lastMessage?: string | undefined
  /** When it began. */
  openedAt: number
  /** When it last changed. */
  updatedAt: number
  /** When the person last wrote, provider's time. */
  lastInboundAt: number
  /** Settings of the tenant, as last looked up; null for those of the process. */
  tenant?: null | TenantSettingsInput | undefined
}

export type ProviderStatus = 'UNKNOWN' | 'SENT' | 'DELIVERED' | 'READ' | 'FAILED'

/** What a channel's provider reports about a message that we sent. */
export interface DeliveryStatus {
  /** The provider's id of our message. */
  providerId: string
  /** Effect attempt of the send, where the provider echoes it. */
  attempt: null | string
  /** The status. */
  status: ProviderStatus
  /** The provider's time. */
  at: number
  /** The provider's error code, on FAILED. */
  errorCode: null | number
  /** The provider's error, on FAILED. */
  error: null | string
}

export interface DeliveryStatusInput {
  /** The provider's id of our message. */
  providerId: string
  /** Effect attempt of the send, where the provider echoes it. */
  attempt?: null | string | undefined
  /** The status. */
  status: ProviderStatus
  /** The provider's time. */
  at: number
  /** The provider's error code, on FAILED. */
  errorCode?: null | number | undefined
  /** The provider's error, on FAILED. */
  error?: null | string | undefined
}

/** Everything of the person whose conversation this is has to go: a command. */
export interface ErasePerson {
  /** Id of the erasure. */
  id: string
  /** Channel of the conversation. */
  channel: string
  /** Issues that the conversation has had, which its state does not remember. */
  issues: string[]
  /** When; of the conversation's own order to a connector, its log time. */
  at: number
}

export interface ErasePersonInput {
  /** Id of the erasure. */
  id: string
  /** Channel of the conversation. */
  channel: string
  /** Issues that the conversation has had, which its state does not remember. */
  issues?: string[] | undefined
  /** When; of the conversation's own order to a connector, its log time. */
  at: number
}

export type IssueStatus = 'UNKNOWN' | 'OPEN' | 'ACKNOWLEDGED' | 'RESOLVED'

/** Something that a human has to see to, from the hand-over of a conversation to its end. */
export interface Issue {
  /** Id. */
  id: string
  /** Conversation it came from. */
  conversation: string
  /** Channel. */
  channel: string
  /** Venue id. */
  venue: null | string
  /** Venue name. */
  venueName: null | string
  /** Who sees to it. */
  department: Department
  /** How urgent. */
  priority: Priority
  /** Why, as a code: the intent, or what went wrong. */
  reason: string
  /** What the person said of it, condensed. Personal data. */
  text: null | string
  /** ACKNOWLEDGED: somebody has taken it. */
  status: IssueStatus
  /** Id of who has it. */
  assignee: null | string
  /** When it was handed over. */
  openedAt: number
  /** By when the person hears from a human. */
  dueAt: null | number
  /** When they did first. */
  respondedAt: null | number
  /** When it ended. */
  resolvedAt: null | number
  /** Id of who ended it; null where nobody said anything more. */
  resolvedBy: null | string
  /** When it last changed. */
  updatedAt: number
}

export interface IssueInput {
  /** Id. */
  id: string
  /** Conversation it came from. */
  conversation: string
  /** Channel. */
  channel: string
  /** Venue id. */
  venue?: null | string | undefined
  /** Venue name. */
  venueName?: null | string | undefined
  /** Who sees to it. */
  department: Department
  /** How urgent. */
  priority: Priority
  /** Why, as a code: the intent, or what went wrong. */
  reason: string
  /** What the person said of it, condensed. Personal data. */
  text?: null | string | undefined
  /** ACKNOWLEDGED: somebody has taken it. */
  status: IssueStatus
  /** Id of who has it. */
  assignee?: null | string | undefined
  /** When it was handed over. */
  openedAt: number
  /** By when the person hears from a human. */
  dueAt?: null | number | undefined
  /** When they did first. */
  respondedAt?: null | number | undefined
  /** When it ended. */
  resolvedAt?: null | number | undefined
  /** Id of who ended it; null where nobody said anything more. */
  resolvedBy?: null | string | undefined
  /** When it last changed. */
  updatedAt: number
}

/** A choice. */
export interface ReplyButton {
  /** Comes back as actionId. */
  id: string
  /** What the person sees. */
  title: string
  /** More about it, where the channel can show that. */
  description: null | string
}

export interface ReplyButtonInput {
  /** Comes back as actionId. */
  id: string
  /** What the person sees. */
  title: string
  /** More about it, where the channel can show that. */
  description?: null | string | undefined
}

/** A message to a person: what the conversation wants said, in full. The channel's connector decides its form: choices as buttons, as a list or named in the text, and long text in several parts. */
export interface SendMessage {
  /** Our id of the message. */
  id: string
  /** The conversation. */
  conversation: string
  /** The channel it goes out on. */
  channel: string
  /** Our account at the provider. */
  account: string
  /** The chat it goes to. Personal data. */
  to: string
  /** The text, however long. Personal data. */
  text: string
  /** Choices that answer it, with their full titles. */
  buttons: ReplyButton[]
  /** Provider's id of the message it answers. */
  replyTo: null | string
  /** When the person last wrote, in the provider's time: a channel may take free text only for so long after that. */
  lastInboundAt: number
  /** When the conversation decided it. */
  createdAt: number
  /** On a part of a long message, as the connector sends it: other parts of the same message follow. */
  more: boolean
}

export interface SendMessageInput {
  /** Our id of the message. */
  id: string
  /** The conversation. */
  conversation: string
  /** The channel it goes out on. */
  channel: string
  /** Our account at the provider. */
  account: string
  /** The chat it goes to. Personal data. */
  to: string
  /** The text, however long. Personal data. */
  text: string
  /** Choices that answer it, with their full titles. */
  buttons?: ReplyButtonInput[] | undefined
  /** Provider's id of the message it answers. */
  replyTo?: null | string | undefined
  /** When the person last wrote, in the provider's time: a channel may take free text only for so long after that. */
  lastInboundAt: number
  /** When the conversation decided it. */
  createdAt: number
  /** On a part of a long message, as the connector sends it: other parts of the same message follow. */
  more?: boolean | undefined
}

/** What became of a message that we sent; from the channel's connector to the conversation. */
export interface SendOutcome {
  /** Our id of the message. */
  id: string
  /** The provider's id, once known. */
  providerId: null | string
  /** UNKNOWN: it may or may not have gone out. */
  status: MessageStatus
  /** Why, for people. */
  reason: string
  /** The provider's error code. */
  errorCode: null | number
  /** When. */
  at: number
}

export interface SendOutcomeInput {
  /** Our id of the message. */
  id: string
  /** The provider's id, once known. */
  providerId?: null | string | undefined
  /** UNKNOWN: it may or may not have gone out. */
  status: MessageStatus
  /** Why, for people. */
  reason?: string | undefined
  /** The provider's error code. */
  errorCode?: null | number | undefined
  /** When. */
  at: number
}

/** Input of the effect `understand`: a message and where the dialogue stands. */
export interface Understand {
  /** The text. Personal data. */
  text: string
  /** Id of the button or row chosen. */
  actionId: null | string
  /** Sender's phone in E.164 digits. Personal data. */
  phone: null | string
  /** The dialogue's state, one of the nine. */
  dialogue: string
  /** Venue already identified or being confirmed. */
  venue: null | string
  /** Venue ids offered, in the order offered. */
  candidates: string[]
  /** Zone ids offered, in the order offered. */
  zones: string[]
  /** Language remembered. */
  language: null | string
  /** Id of the chat message it is about. */
  message: string
}

export interface UnderstandInput {
  /** The text. Personal data. */
  text: string
  /** Id of the button or row chosen. */
  actionId?: null | string | undefined
  /** Sender's phone in E.164 digits. Personal data. */
  phone?: null | string | undefined
  /** The dialogue's state, one of the nine. */
  dialogue: string
  /** Venue already identified or being confirmed. */
  venue?: null | string | undefined
  /** Venue ids offered, in the order offered. */
  candidates?: string[] | undefined
  /** Zone ids offered, in the order offered. */
  zones?: string[] | undefined
  /** Language remembered. */
  language?: null | string | undefined
  /** Id of the chat message it is about. */
  message: string
}

export type ReplyMeaning = 'UNKNOWN' | 'NONE' | 'YES' | 'NO' | 'NUMBER' | 'NONE_OF_THESE'

export type Override = 'UNKNOWN' | 'NONE' | 'HUMAN' | 'RESTART' | 'STOP' | 'LANGUAGE'

/** A venue that the message may name. */
export interface VenueMatch {
  /** Venue id. */
  venue: string
  /** Its name. */
  name: string
  /** Its location. */
  location: string
  /** Confidence 0..1. */
  score: number
}

export interface VenueMatchInput {
  /** Venue id. */
  venue: string
  /** Its name. */
  name: string
  /** Its location. */
  location?: string | undefined
  /** Confidence 0..1. */
  score?: number | undefined
}

export type MatchDecision = 'UNKNOWN' | 'NONE' | 'EXACT' | 'LIKELY' | 'AMBIGUOUS'

/** A venue that has the sender's phone on file. */
export interface OnFile {
  /** Venue id. */
  venue: string
  /** Venue name. */
  name: string
  /** Its location. */
  location: string
  /** Contact on file. Personal data. */
  contact: string
  /** Position on file. */
  position: null | string
}

export interface OnFileInput {
  /** Venue id. */
  venue: string
  /** Venue name. */
  name: string
  /** Its location. */
  location?: string | undefined
  /** Contact on file. Personal data. */
  contact: string
  /** Position on file. */
  position?: null | string | undefined
}

/** Something wanted. */
export interface Intent {
  /** Intent, as in the list of intents: volume_up, what_playing, report_issue, greeting … */
  kind: string
  /** 0..1. */
  confidence: number
  /** Zone id, when a zone of the venue was named. */
  zone: null | string
  /** Words that name a zone, where no single zone fits. */
  zoneText: null | string
  /** Zone ids that fit the words, when several do. */
  zoneChoices: string[]
  /** True for all zones. */
  allZones: boolean
  /** Volume 0..16 for volume_set; steps for volume_up and volume_down where said. */
  value: null | number
  /** For how long, ms. */
  durationMs: null | number
}

export interface IntentInput {
  /** Intent, as in the list of intents: volume_up, what_playing, report_issue, greeting … */
  kind: string
  /** 0..1. */
  confidence: number
  /** Zone id, when a zone of the venue was named. */
  zone?: null | string | undefined
  /** Words that name a zone, where no single zone fits. */
  zoneText?: null | string | undefined
  /** Zone ids that fit the words, when several do. */
  zoneChoices?: string[] | undefined
  /** True for all zones. */
  allZones?: boolean | undefined
  /** Volume 0..16 for volume_set; steps for volume_up and volume_down where said. */
  value?: null | number | undefined
  /** For how long, ms. */
  durationMs?: null | number | undefined
}

export type Sentiment = 'UNKNOWN' | 'POSITIVE' | 'NEUTRAL' | 'NEGATIVE' | 'URGENT'

/** A zone of the venue identified. */
export interface VenueZone {
  /** Zone id. */
  zone: string
  /** Its name. */
  name: string
}

export interface VenueZoneInput {
  /** Zone id. */
  zone: string
  /** Its name. */
  name: string
}

/** What a message means, as understood against the venue index. */
export interface Understood {
  /** Id of the chat message. */
  message: string
  /** th or en. */
  language: string
  /** What it says as an answer to a question. */
  reply: ReplyMeaning
  /** The number, for NUMBER. */
  number: null | number
  /** Id of the button or row chosen. */
  action: null | string
  /** Words that hold in every state. */
  override: Override
  /** Venues named, best first, at most 5. */
  matches: VenueMatch[]
  /** NONE: no venue named. EXACT: one exact hit. LIKELY: one fuzzy hit clear of the next. AMBIGUOUS: several. */
  match: MatchDecision
  /** Score of the second best. */
  runnerUp: null | number
  /** Venues with the sender's phone on file. */
  onFile: OnFile[]
  /** What is wanted, best first. */
  intents: Intent[]
  /** Mood. */
  sentiment: Sentiment
  /** A person's name, when asked for one. Personal data. */
  person: null | string
  /** A position, when asked for one. */
  position: null | string
  /** The issue condensed, for the summary. Personal data. */
  issue: null | string
  /** Name of the venue already identified. */
  venueName: null | string
  /** Its location. */
  venueLocation: null | string
  /** Zones of the venue identified. */
  zones: VenueZone[]
}

export interface UnderstoodInput {
  /** Id of the chat message. */
  message: string
  /** th or en. */
  language: string
  /** What it says as an answer to a question. */
  reply: ReplyMeaning
  /** The number, for NUMBER. */
  number?: null | number | undefined
  /** Id of the button or row chosen. */
  action?: null | string | undefined
  /** Words that hold in every state. */
  override: Override
  /** Venues named, best first, at most 5. */
  matches?: VenueMatchInput[] | undefined
  /** NONE: no venue named. EXACT: one exact hit. LIKELY: one fuzzy hit clear of the next. AMBIGUOUS: several. */
  match: MatchDecision
  /** Score of the second best. */
  runnerUp?: null | number | undefined
  /** Venues with the sender's phone on file. */
  onFile?: OnFileInput[] | undefined
  /** What is wanted, best first. */
  intents?: IntentInput[] | undefined
  /** Mood. */
  sentiment: Sentiment
  /** A person's name, when asked for one. Personal data. */
  person?: null | string | undefined
  /** A position, when asked for one. */
  position?: null | string | undefined
  /** The issue condensed, for the summary. Personal data. */
  issue?: null | string | undefined
  /** Name of the venue already identified. */
  venueName?: null | string | undefined
  /** Its location. */
  venueLocation?: null | string | undefined
  /** Zones of the venue identified. */
  zones?: VenueZoneInput[] | undefined
}

export type AnswerKind = 'UNKNOWN' | 'VOLUME_UP' | 'VOLUME_DOWN' | 'VOLUME_SET' | 'MUTE' | 'UNMUTE' | 'PLAY' | 'PAUSE' | 'SKIP' | 'WHAT_PLAYING' | 'STATUS' | 'LIST_ZONES'

export type RequestOutcome = 'UNKNOWN' | 'PENDING' | 'CONFIRMED' | 'REFUSED' | 'UNVERIFIED' | 'EXPIRED'

export type ZoneStatus = 'UNKNOWN' | 'ONLINE' | 'OFFLINE'

/** A zone as last seen. */
export interface ZoneFact {
  /** Zone id. */
  zone: string
  /** Its name. */
  name: string
  /** UNKNOWN where it could not be read. */
  status: ZoneStatus
  /** unpaired, no_subscription, expired, muted … or empty. */
  detail: string
  /** playing, paused … */
  playback: null | string
  /** 0..16. */
  volume: null | number
  /** Title. */
  track: null | string
  /** Artist. */
  artist: null | string
  /** Playlist or schedule. */
  source: null | string
  /** When it was read. */
  asOf: null | number
}

export interface ZoneFactInput {
  /** Zone id. */
  zone: string
  /** Its name. */
  name: string
  /** UNKNOWN where it could not be read. */
  status: ZoneStatus
  /** unpaired, no_subscription, expired, muted … or empty. */
  detail?: string | undefined
  /** playing, paused … */
  playback?: null | string | undefined
  /** 0..16. */
  volume?: null | number | undefined
  /** Title. */
  track?: null | string | undefined
  /** Artist. */
  artist?: null | string | undefined
  /** Playlist or schedule. */
  source?: null | string | undefined
  /** When it was read. */
  asOf?: null | number | undefined
}

/** What became of a zone request: from the venue to the conversation. */
export interface VenueAnswer {
  /** Id of the request. */
  request: string
  /** Venue id. */
  venue: string
  /** Its name. */
  venueName: string
  /** What was asked. */
  kind: AnswerKind
  /** PENDING: taken, not finished (a first word while the provider is slow). UNKNOWN: it may or may not have happened. */
  outcome: RequestOutcome
  /** Code of the reason: trust, policy, cap, permission, offline, unpaired, subscription, provider_down, provider_slow, rate_limited, no_effect, not_found, stale, no_zone … */
  reason: string
  /** The reason for people. */
  detail: string
  /** Id of the command sent, where one was. */
  command: null | string
  /** Volume before. */
  from: null | number
  /** Volume after, or asked for. */
  to: null | number
  /** Pause for how long, ms. */
  durationMs: null | number
  /** False for a first word; another answer follows. */
  final: boolean
  /** The zones asked about. */
  zones: ZoneFact[]
  /** When. */
  at: number
}

export interface VenueAnswerInput {
  /** Id of the request. */
  request: string
  /** Venue id. */
  venue: string
  /** Its name. */
  venueName?: string | undefined
  /** What was asked. */
  kind: AnswerKind
  /** PENDING: taken, not finished (a first word while the provider is slow). UNKNOWN: it may or may not have happened. */
  outcome: RequestOutcome
  /** Code of the reason: trust, policy, cap, permission, offline, unpaired, subscription, provider_down, provider_slow, rate_limited, no_effect, not_found, stale, no_zone … */
  reason?: string | undefined
  /** The reason for people. */
  detail?: string | undefined
  /** Id of the command sent, where one was. */
  command?: null | string | undefined
  /** Volume before. */
  from?: null | number | undefined
  /** Volume after, or asked for. */
  to?: null | number | undefined
  /** Pause for how long, ms. */
  durationMs?: null | number | undefined
  /** False for a first word; another answer follows. */
  final?: boolean | undefined
  /** The zones asked about. */
  zones?: ZoneFactInput[] | undefined
  /** When. */
  at: number
}

export type QuarantineDecision = 'UNKNOWN' | 'SKIP' | 'PARK' | 'DROP' | 'REFUSED'

/** A record that was skipped, parked or could not be read, with its cause. */
export interface DeadLetter {
  /** Where it was read, or the webhook that took it. */
  topic: string
  /** Its partition; -1 where it never reached a topic. */
  partition: number
  /** Its offset; -1 where it never reached a topic. */
  offset: number
  /** Its key. */
  key: string
  /** Its record type, as far as known. */
  recordType: string
  /** The record as it came. Personal data. */
  value: Buffer
  /** Bytes of the whole record, where value holds only its beginning because all of it does not fit; -1 otherwise. */
  bytes: number
  /** What was done with it. REFUSED: malformed part of a webhook or sheet. */
  decision: QuarantineDecision
  /** The error, for people. */
  cause: string
  /** Version of the code that decided. */
  codeVersion: string
  /** When. */
  at: number
}

export interface DeadLetterInput {
  /** Where it was read, or the webhook that took it. */
  topic: string
  /** Its partition; -1 where it never reached a topic. */
  partition: number
  /** Its offset; -1 where it never reached a topic. */
  offset: number
  /** Its key. */
  key: string
  /** Its record type, as far as known. */
  recordType: string
  /** The record as it came. Personal data. */
  value: Buffer
  /** Bytes of the whole record, where value holds only its beginning because all of it does not fit; -1 otherwise. */
  bytes?: number | undefined
  /** What was done with it. REFUSED: malformed part of a webhook or sheet. */
  decision: QuarantineDecision
  /** The error, for people. */
  cause: string
  /** Version of the code that decided. */
  codeVersion?: string | undefined
  /** When. */
  at: number
}

export type EffectOutcome = 'UNKNOWN' | 'EXPIRED' | 'RELEASED' | 'RETRY' | 'NOT_DONE'

/** An effect attempt ended without a result of the outside; appended to the actor's own inbox. */
export interface EffectEnded {
  /** Id of the attempt. */
  attempt: string
  /** Name of the effect. */
  effect: string
  /** Which start of the attempt this is about; an earlier one is ignored. */
  start: number
  /** UNKNOWN: it may or may not have happened. EXPIRED: past notAfter, not done. RELEASED: never left, to be started anew. RETRY: may have happened, and may be started anew. NOT_DONE: given up before anything left. */
  outcome: EffectOutcome
  /** Why, for people. */
  reason: string
  /** Why, as a code of the connector, where its port gave one. */
  code: null | string
}

export interface EffectEndedInput {
  /** Id of the attempt. */
  attempt: string
  /** Name of the effect. */
  effect: string
  /** Which start of the attempt this is about; an earlier one is ignored. */
  start?: number | undefined
  /** UNKNOWN: it may or may not have happened. EXPIRED: past notAfter, not done. RELEASED: never left, to be started anew. RETRY: may have happened, and may be started anew. NOT_DONE: given up before anything left. */
  outcome: EffectOutcome
  /** Why, for people. */
  reason?: string | undefined
  /** Why, as a code of the connector, where its port gave one. */
  code?: null | string | undefined
}

/** A timer that is set. */
export interface EnvelopeTimer {
  /** Name. */
  name: string
  /** When due. */
  at: number
  /** Offset and count of the record that set it. */
  version: string
}

export interface EnvelopeTimerInput {
  /** Name. */
  name: string
  /** When due. */
  at: number
  /** Offset and count of the record that set it. */
  version: string
}

export type AttemptStatus = 'UNKNOWN' | 'WAITING' | 'STARTED' | 'ENDED'

/** An effect attempt that is open; its input is kept under its own changelog key. */
export interface EnvelopeAttempt {
  /** Id. */
  attempt: string
  /** Name of the effect. */
  effect: string
  /** WAITING behind an earlier one, STARTED once first, ENDED as unknown and kept for a late result. */
  status: AttemptStatus
  /** Not to be started after this time. */
  notAfter: null | number
  /** How often it has been started anew. */
  start: number
  /** True when an earlier start may have done it. */
  uncertain: boolean
  /** Parts of its result taken so far. */
  parts: number
  /** Identity of the state store of the worker whose transaction started it. */
  owner: string
}

export interface EnvelopeAttemptInput {
  /** Id. */
  attempt: string
  /** Name of the effect. */
  effect: string
  /** WAITING behind an earlier one, STARTED once first, ENDED as unknown and kept for a late result. */
  status: AttemptStatus
  /** Not to be started after this time. */
  notAfter?: null | number | undefined
  /** How often it has been started anew. */
  start?: number | undefined
  /** True when an earlier start may have done it. */
  uncertain?: boolean | undefined
  /** Parts of its result taken so far. */
  parts?: number | undefined
  /** Identity of the state store of the worker whose transaction started it. */
  owner?: string | undefined
}

/** A parked record, or one that waits behind it. */
export interface EnvelopeParked {
  /** Its offset. */
  offset: number
  /** Its record type. */
  type: string
  /** Its log time. */
  at: number
  /** The record in wire format. */
  value: Buffer
  /** Its headers. */
  headers: Record<string, string>
}

export interface EnvelopeParkedInput {
  /** Its offset. */
  offset: number
  /** Its record type. */
  type: string
  /** Its log time. */
  at: number
  /** The record in wire format. */
  value: Buffer
  /** Its headers. */
  headers?: Record<string, string> | undefined
}

/** A quarantine decision. */
export interface EnvelopeDecision {
  /** Offset of the record. */
  offset: number
  /** skip, park, drop or redrive. */
  decision: string
  /** Version of the code. */
  codeVersion: string
}

export interface EnvelopeDecisionInput {
  /** Offset of the record. */
  offset: number
  /** skip, park, drop or redrive. */
  decision: string
  /** Version of the code. */
  codeVersion: string
}

/** Outcome of a command. */
export interface EnvelopeCommand {
  /** Id of the command. */
  id: string
  /** handled, refused, skipped, parked. */
  outcome: string
  /** Why. */
  reason: string
  /** Why it was refused, as a code, such as taken_by_other; null otherwise, and in records written before the field was. */
  code: null | string
}

export interface EnvelopeCommandInput {
  /** Id of the command. */
  id: string
  /** handled, refused, skipped, parked. */
  outcome: string
  /** Why. */
  reason?: string | undefined
  /** Why it was refused, as a code, such as taken_by_other; null otherwise, and in records written before the field was. */
  code?: null | string | undefined
}

/** What the engine keeps of one actor: its state and the engine's own bookkeeping. Value of a changelog. */
export interface Envelope {
  /** The newest log time this key has seen. */
  now: number
  /** Fingerprint of the schema that wrote the state. */
  fingerprint: null | string
  /** The state as raw Avro; null when the actor has none. */
  state: null | Buffer
  /** Timers set. */
  timers: EnvelopeTimer[]
  /** Open effect attempts, in order. */
  ledger: EnvelopeAttempt[]
  /** Hashes and times of the newest record ids, 16 bytes each. */
  ring: Buffer
  /** Newest time that has fallen out of the ring; 0 while it was never full. */
  horizon: number
  /** Records that wait, in order; the first is the one parked. */
  parked: EnvelopeParked[]
  /** The newest quarantine decisions, bounded. */
  decisions: EnvelopeDecision[]
  /** The newest commands with their outcome, bounded. */
  commands: EnvelopeCommand[]
}

export interface EnvelopeInput {
  /** The newest log time this key has seen. */
  now: number
  /** Fingerprint of the schema that wrote the state. */
  fingerprint?: null | string | undefined
  /** The state as raw Avro; null when the actor has none. */
  state?: null | Buffer | undefined
  /** Timers set. */
  timers?: EnvelopeTimerInput[] | undefined
  /** Open effect attempts, in order. */
  ledger?: EnvelopeAttemptInput[] | undefined
  /** Hashes and times of the newest record ids, 16 bytes each. */
  ring?: Buffer | undefined
  /** Newest time that has fallen out of the ring; 0 while it was never full. */
  horizon?: number | undefined
  /** Records that wait, in order; the first is the one parked. */
  parked?: EnvelopeParkedInput[] | undefined
  /** The newest quarantine decisions, bounded. */
  decisions?: EnvelopeDecisionInput[] | undefined
  /** The newest commands with their outcome, bounded. */
  commands?: EnvelopeCommandInput[] | undefined
}

/** Input of an open effect attempt, kept in the changelog under the actor's key and the attempt's id. */
export interface LedgerInput {
  /** Key of the actor. */
  key: string
  /** Id of the attempt. */
  attempt: string
  /** Name of the effect. */
  effect: string
  /** Fingerprint of the schema that wrote the input. */
  fingerprint: string
  /** The input as raw Avro. Personal data. */
  input: Buffer
}

export interface LedgerInputInput {
  /** Key of the actor. */
  key: string
  /** Id of the attempt. */
  attempt: string
  /** Name of the effect. */
  effect: string
  /** Fingerprint of the schema that wrote the input. */
  fingerprint: string
  /** The input as raw Avro. Personal data. */
  input: Buffer
}

/** Random identity of a log, written when its changelog is made, under a reserved key. */
export interface LogIdentity {
  /** A UUID. */
  id: string
}

export interface LogIdentityInput {
  /** A UUID. */
  id: string
}

/** Asks an actor to handle a parked record of its key again, as it was or mended. */
export interface Redrive {
  /** Id of this order; a repeated order is ignored. */
  id: string
  /** Offset of the parked record. */
  offset: number
  /** True drops the record instead of handling it. */
  drop: boolean
  /** The mended record in wire format; null handles it as it was. */
  value: null | Buffer
  /** Who ordered it. */
  by: string
}

export interface RedriveInput {
  /** Id of this order; a repeated order is ignored. */
  id: string
  /** Offset of the parked record. */
  offset: number
  /** True drops the record instead of handling it. */
  drop?: boolean | undefined
  /** The mended record in wire format; null handles it as it was. */
  value?: null | Buffer | undefined
  /** Who ordered it. */
  by?: string | undefined
}

/** Avro schema of a fingerprint used in this changelog, under a reserved key. */
export interface SchemaText {
  /** Fingerprint. */
  fingerprint: string
  /** The schema as JSON. */
  schema: string
}

export interface SchemaTextInput {
  /** Fingerprint. */
  fingerprint: string
  /** The schema as JSON. */
  schema: string
}

export type TaskAction = 'UNKNOWN' | 'RESUME' | 'ACCEPT' | 'REBUILD'

/** A person's decision how a task that stands still goes on; appended to its changelog under a reserved key. */
export interface TaskDecision {
  /** Id of the decision. */
  id: string
  /** RESUME: go on where it stands. ACCEPT: go on at `offset` of the inbox as it is now; what lies before is given up. REBUILD: the local store is given up, and the state is what the changelog says. */
  action: TaskAction
  /** ACCEPT: the next offset of the inbox to handle; -1 otherwise. */
  offset: number
  /** Who decided: an id of a user or key, no personal data. */
  by: string
  /** Why, for people. */
  reason: string
  /** When. */
  at: number
}

export interface TaskDecisionInput {
  /** Id of the decision. */
  id: string
  /** RESUME: go on where it stands. ACCEPT: go on at `offset` of the inbox as it is now; what lies before is given up. REBUILD: the local store is given up, and the state is what the changelog says. */
  action: TaskAction
  /** ACCEPT: the next offset of the inbox to handle; -1 otherwise. */
  offset?: number | undefined
  /** Who decided: an id of a user or key, no personal data. */
  by: string
  /** Why, for people. */
  reason?: string | undefined
  /** When. */
  at: number
}

/** The inbox that the state in a changelog was made from; kept under a reserved key. */
export interface TaskInbox {
  /** Id of the topic: one deleted and made again has another. */
  identity: string
  /** How many partitions it had: a key's place depends on it. */
  partitions: number
  /** What ids made from this inbox begin with, besides the log's identity: empty for the first inbox, so that the offsets of a later one make other ids. */
  scope: string
}

export interface TaskInboxInput {
  /** Id of the topic: one deleted and made again has another. */
  identity: string
  /** How many partitions it had: a key's place depends on it. */
  partitions: number
  /** What ids made from this inbox begin with, besides the log's identity: empty for the first inbox, so that the offsets of a later one make other ids. */
  scope?: string | undefined
}

/** Next input offset of a task, kept in its changelog under a reserved key. */
export interface TaskPosition {
  /** Next offset of the inbox partition to handle. */
  next: number
  /** Random, of the transaction: a checkpoint names the one that it stands on, so that another history of the same offsets is told apart. */
  token: string
}

export interface TaskPositionInput {
  /** Next offset of the inbox partition to handle. */
  next: number
  /** Random, of the transaction: a checkpoint names the one that it stands on, so that another history of the same offsets is told apart. */
  token?: string | undefined
}

/** A task stopped because too many keys went to quarantine; kept under a reserved key until the code changes or a person resumes it. */
export interface TaskStop {
  /** Version of the code that failed. */
  codeVersion: string
  /** Why. */
  cause: string
  /** When. */
  at: number
}

export interface TaskStopInput {
  /** Version of the code that failed. */
  codeVersion: string
  /** Why. */
  cause: string
  /** When. */
  at: number
}

/** A timer of an actor has come due; appended to the actor's own inbox by the worker. */
export interface TimerDue {
  /** Timer name, with its argument after a colon where it has one. */
  name: string
  /** When it was set to fire, in log time. */
  dueAt: number
  /** Offset and count of the record that set it; any other version is stale. */
  version: string
}

export interface TimerDueInput {
  /** Timer name, with its argument after a colon where it has one. */
  name: string
  /** When it was set to fire, in log time. */
  dueAt: number
  /** Offset and count of the record that set it; any other version is stale. */
  version: string
}

/** Input of the effect `read`. */
export interface ReadSheet {
  /** Which sheet. */
  sheet: string
  /** How many buckets the rows are spread over. */
  buckets: number
  /** Fingerprint of the content last taken; the same again is answered as unchanged. */
  fingerprint: null | string
  /** Some of the venues last taken: how many of them are still there tells the sheet from another. */
  sample: string[]
}

export interface ReadSheetInput {
  /** Which sheet. */
  sheet: string
  /** How many buckets the rows are spread over. */
  buckets: number
  /** Fingerprint of the content last taken; the same again is answered as unchanged. */
  fingerprint?: null | string | undefined
  /** Some of the venues last taken: how many of them are still there tells the sheet from another. */
  sample?: string[] | undefined
}

/** A valid row. */
export interface SheetVenue {
  /** Venue id within the tenant. */
  venue: string
  /** venue_name. */
  name: string
  /** location. */
  location: string
  /** contact_name. Personal data. */
  contactName: null | string
  /** contact_email. Personal data. */
  contactEmail: null | string
  /** contact_phone. Personal data. */
  contactPhone: null | string
  /** contact_position. */
  contactPosition: null | string
  /** soundtrack_account_id. */
  soundtrackAccount: null | string
  /** soundtrack_location_id. */
  soundtrackLocation: null | string
  /** zone_count. */
  zoneCount: null | number
  /** subscription_status. */
  subscriptionStatus: null | string
  /** last_issue_date. */
  lastIssueDate: null | string
  /** notes. Personal data. */
  notes: null | string
  /** priority_level. */
  priorityLevel: null | string
  /** sla_tier. */
  slaTier: null | string
  /** aliases. */
  aliases: string[]
  /** volume_cap. */
  volumeCap: null | number
  /** Fields whose cells could not be read, or whose column is not there: what was known of them stays. */
  unread: string[]
}

export interface SheetVenueInput {
  /** Venue id within the tenant. */
  venue: string
  /** venue_name. */
  name: string
  /** location. */
  location: string
  /** contact_name. Personal data. */
  contactName?: null | string | undefined
  /** contact_email. Personal data. */
  contactEmail?: null | string | undefined
  /** contact_phone. Personal data. */
  contactPhone?: null | string | undefined
  /** contact_position. */
  contactPosition?: null | string | undefined
  /** soundtrack_account_id. */
  soundtrackAccount?: null | string | undefined
  /** soundtrack_location_id. */
  soundtrackLocation?: null | string | undefined
  /** zone_count. */
  zoneCount?: null | number | undefined
  /** subscription_status. */
  subscriptionStatus?: null | string | undefined
  /** last_issue_date. */
  lastIssueDate?: null | string | undefined
  /** notes. Personal data. */
  notes?: null | string | undefined
  /** priority_level. */
  priorityLevel?: null | string | undefined
  /** sla_tier. */
  slaTier?: null | string | undefined
  /** aliases. */
  aliases?: string[] | undefined
  /** volume_cap. */
  volumeCap?: null | number | undefined
  /** Fields whose cells could not be read, or whose column is not there: what was known of them stays. */
  unread?: string[] | undefined
}

/** All rows of one bucket of a sheet, from the sheet's actor to the bucket's. */
export interface SheetBucket {
  /** Which sheet. */
  sheet: string
  /** Bucket. */
  bucket: number
  /** All rows of the bucket. */
  rows: SheetVenue[]
  /** When it was read. */
  readAt: number
  /** Ids of refused rows: what was taken of them before stays. */
  kept: string[]
  /** False when the id of a refused row could not be read: a venue that is missing may be that row. */
  removals: boolean
  /** The reading, to be named in the answer. */
  attempt: string
}

export interface SheetBucketInput {
  /** Which sheet. */
  sheet: string
  /** Bucket. */
  bucket: number
  /** All rows of the bucket. */
  rows?: SheetVenueInput[] | undefined
  /** When it was read. */
  readAt: number
  /** Ids of refused rows: what was taken of them before stays. */
  kept?: string[] | undefined
  /** False when the id of a refused row could not be read: a venue that is missing may be that row. */
  removals?: boolean | undefined
  /** The reading, to be named in the answer. */
  attempt?: string | undefined
}

/** A bucket's answer to the sheet: what it passed on. */
export interface SheetBucketTaken {
  /** The reading. */
  attempt: string
  /** Bucket. */
  bucket: number
  /** Rows that changed anything. */
  changed: number
}

export interface SheetBucketTakenInput {
  /** The reading. */
  attempt: string
  /** Bucket. */
  bucket: number
  /** Rows that changed anything. */
  changed: number
}

/** What the reading found. */
export interface SheetSummary {
  /** Same content as last time. */
  unchanged: boolean
  /** Valid rows. */
  rows: number
  /** Refused rows. */
  refused: number
  /** Fingerprint of the content. */
  fingerprint: string
  /** Why it could not be read, for people: missing, empty, no_header: … */
  error: null | string
  /** How long it took, ms. */
  durationMs: number
  /** Cells that could not be read, or not wholly, in rows that were taken. */
  cells: number
  /** Some of its venues, to be looked for the next time. */
  sample: string[]
  /** How many of the venues asked for are there. */
  known: number
  /** Why it could not be read: missing, unreadable, empty, not_csv, no_header, too_large; null in records written before the field was. */
  code: null | string
}

export interface SheetSummaryInput {
  /** Same content as last time. */
  unchanged?: boolean | undefined
  /** Valid rows. */
  rows: number
  /** Refused rows. */
  refused: number
  /** Fingerprint of the content. */
  fingerprint?: string | undefined
  /** Why it could not be read, for people: missing, empty, no_header: … */
  error?: null | string | undefined
  /** How long it took, ms. */
  durationMs: number
  /** Cells that could not be read, or not wholly, in rows that were taken. */
  cells?: number | undefined
  /** Some of its venues, to be looked for the next time. */
  sample?: string[] | undefined
  /** How many of the venues asked for are there. */
  known?: number | undefined
  /** Why it could not be read: missing, unreadable, empty, not_csv, no_header, too_large; null in records written before the field was. */
  code?: null | string | undefined
}

/** A refused row, or a cell that could not be read. */
export interface RowRefusal {
  /** Line in the sheet, 1 is the header. */
  line: number
  /** Why: which column, which value. */
  reason: string
  /** Column, as the sheet is documented; empty where it is about the whole row. */
  column: string
  /** The value, shortened; of personal data only its shape. */
  value: string
  /** What was expected. */
  expected: string
  /** True: the row was refused. False: the cell costs itself, or a part of itself. */
  refused: boolean
}

export interface RowRefusalInput {
  /** Line in the sheet, 1 is the header. */
  line: number
  /** Why: which column, which value. */
  reason: string
  /** Column, as the sheet is documented; empty where it is about the whole row. */
  column?: string | undefined
  /** The value, shortened; of personal data only its shape. */
  value?: string | undefined
  /** What was expected. */
  expected?: string | undefined
  /** True: the row was refused. False: the cell costs itself, or a part of itself. */
  refused?: boolean | undefined
}

/** Part of what was read: the first is the summary, each later one the rows of one bucket. */
export interface SheetPart {
  /** Which sheet. */
  sheet: string
  /** In the first part. */
  summary: null | SheetSummary
  /** What could not be read. */
  refusals: RowRefusal[]
  /** Bucket of the rows. */
  bucket: null | number
  /** All rows of the bucket. */
  rows: SheetVenue[]
  /** When it was read. */
  readAt: number
  /** Ids of refused rows: what was taken of them before stays. */
  kept: string[]
  /** False when the id of a refused row could not be read: a venue that is missing may be that row. */
  removals: boolean
  /** Fingerprint of the content that this part is of. */
  fingerprint: string
  /** Where it was read: what another source made is not merged over. */
  source: string
  /** What the operator has accepted, as an alert named it. */
  accept: string
}

export interface SheetPartInput {
  /** Which sheet. */
  sheet: string
  /** In the first part. */
  summary?: null | SheetSummaryInput | undefined
  /** What could not be read. */
  refusals?: RowRefusalInput[] | undefined
  /** Bucket of the rows. */
  bucket?: null | number | undefined
  /** All rows of the bucket. */
  rows?: SheetVenueInput[] | undefined
  /** When it was read. */
  readAt: number
  /** Ids of refused rows: what was taken of them before stays. */
  kept?: string[] | undefined
  /** False when the id of a refused row could not be read: a venue that is missing may be that row. */
  removals?: boolean | undefined
  /** Fingerprint of the content that this part is of. */
  fingerprint?: string | undefined
  /** Where it was read: what another source made is not merged over. */
  source?: string | undefined
  /** What the operator has accepted, as an alert named it. */
  accept?: string | undefined
}

/** A refused row, or a cell that could not be read. */
export interface SyncRefusal {
  /** Line. */
  line: number
  /** Why. */
  reason: string
  /** Column; empty where it is about the whole row. */
  column: string
  /** The value, shortened; of personal data only its shape. */
  value: string
  /** What was expected. */
  expected: string
  /** True: the row was refused. False: the cell costs itself, or a part of itself. */
  refused: boolean
}

export interface SyncRefusalInput {
  /** Line. */
  line: number
  /** Why. */
  reason: string
  /** Column; empty where it is about the whole row. */
  column?: string | undefined
  /** The value, shortened; of personal data only its shape. */
  value?: string | undefined
  /** What was expected. */
  expected?: string | undefined
  /** True: the row was refused. False: the cell costs itself, or a part of itself. */
  refused?: boolean | undefined
}

/** A reading under way. */
export interface SheetReading {
  /** Its effect attempt. */
  attempt: string
  /** When it was asked for. */
  since: number
  /** Fingerprint of what is being taken; null before the summary, and when it is not taken. */
  fingerprint: null | string
  /** Valid rows. */
  rows: number
  /** Refused rows. */
  refused: number
  /** How long the reading took, ms. */
  durationMs: number
  /** The bucket that comes next. */
  next: number
  /** Buckets that were passed on. */
  sent: number
  /** Answers to them. */
  answered: number
  /** Rows that changed anything, as far as buckets have said. */
  changed: number
  /** Refused rows, for the run. */
  refusals: SyncRefusal[]
  /** Cells that could not be read. */
  cells: number
  /** Some of the venues that are being taken. */
  sample: string[]
  /** True: what was known is of another sheet, and nothing of it stays. */
  anew: boolean
}

export interface SheetReadingInput {
  /** Its effect attempt. */
  attempt: string
  /** When it was asked for. */
  since: number
  /** Fingerprint of what is being taken; null before the summary, and when it is not taken. */
  fingerprint?: null | string | undefined
  /** Valid rows. */
  rows?: number | undefined
  /** Refused rows. */
  refused?: number | undefined
  /** How long the reading took, ms. */
  durationMs?: number | undefined
  /** The bucket that comes next. */
  next?: number | undefined
  /** Buckets that were passed on. */
  sent?: number | undefined
  /** Answers to them. */
  answered?: number | undefined
  /** Rows that changed anything, as far as buckets have said. */
  changed?: number | undefined
  /** Refused rows, for the run. */
  refusals?: SyncRefusalInput[] | undefined
  /** Cells that could not be read. */
  cells?: number | undefined
  /** Some of the venues that are being taken. */
  sample?: string[] | undefined
  /** True: what was known is of another sheet, and nothing of it stays. */
  anew?: boolean | undefined
}

/** A row as it was last passed on. */
export interface SheetVenueHash {
  /** Venue id within the tenant. */
  venue: string
  /** Short hash of the row. */
  hash: string
}

export interface SheetVenueHashInput {
  /** Venue id within the tenant. */
  venue: string
  /** Short hash of the row. */
  hash: string
}

/** State of the sheets actor. A sheet's own key uses all but `venues`; a bucket's key uses only `venues`. */
export interface SheetState {
  /** Fingerprint of the content last taken whole. */
  fingerprint: null | string
  /** Valid rows last taken. */
  rows: number
  /** What the open alert says; null when none is open. */
  alert: null | string
  /** Asked for while a reading was under way: read once more after it. */
  again: boolean
  /** The next reading is taken even when it has shrunk badly. */
  accept: boolean
  /** The reading under way. */
  reading: null | SheetReading
  /** Rows of the bucket. */
  venues: SheetVenueHash[]
  /** Source of the rows last taken; null while none is known. */
  source: null | string
  /** Some of the venues last taken. */
  sample: string[]
}

export interface SheetStateInput {
  /** Fingerprint of the content last taken whole. */
  fingerprint?: null | string | undefined
  /** Valid rows last taken. */
  rows?: number | undefined
  /** What the open alert says; null when none is open. */
  alert?: null | string | undefined
  /** Asked for while a reading was under way: read once more after it. */
  again?: boolean | undefined
  /** The next reading is taken even when it has shrunk badly. */
  accept?: boolean | undefined
  /** The reading under way. */
  reading?: null | SheetReadingInput | undefined
  /** Rows of the bucket. */
  venues?: SheetVenueHashInput[] | undefined
  /** Source of the rows last taken; null while none is known. */
  source?: null | string | undefined
  /** Some of the venues last taken. */
  sample?: string[] | undefined
}

/** Read the sheet now. */
export interface SyncNow {
  /** changed, asked, interval. */
  reason: string
  /** Who asked. */
  by: string
  /** Take the sheet even when it has shrunk badly: a person has looked at it. */
  accept: boolean
}

export interface SyncNowInput {
  /** changed, asked, interval. */
  reason: string
  /** Who asked. */
  by?: string | undefined
  /** Take the sheet even when it has shrunk badly: a person has looked at it. */
  accept?: boolean | undefined
}

/** What a synchronisation could not read: rows that were refused, and cells that cost themselves. */
export interface SyncRefusals {
  /** Id of the SyncRun. */
  run: string
  /** sheets:… */
  source: string
  /** 0, 1, 2 …: of one run, in the order of the sheet. */
  page: number
  /** What could not be read. */
  refusals: SyncRefusal[]
  /** When. */
  at: number
}

export interface SyncRefusalsInput {
  /** Id of the SyncRun. */
  run: string
  /** sheets:… */
  source: string
  /** 0, 1, 2 …: of one run, in the order of the sheet. */
  page: number
  /** What could not be read. */
  refusals?: SyncRefusalInput[] | undefined
  /** When. */
  at: number
}

export type SyncOutcome = 'UNKNOWN' | 'OK' | 'UNCHANGED' | 'REFUSED' | 'FAILED'

/** One synchronisation. */
export interface SyncRun {
  /** Id. */
  id: string
  /** sheets:…, soundtrack:… */
  source: string
  /** Start. */
  startedAt: number
  /** End. */
  endedAt: number
  /** REFUSED: read, but not taken. */
  outcome: SyncOutcome
  /** Valid rows or venues read. */
  venues: number
  /** Rows that changed anything; 0 of sources that are not read by rows. */
  changed: number
  /** Errors and refused rows. */
  errors: number
  /** ms. */
  durationMs: number
  /** Why, for people. */
  reason: string
  /** What could not be read, the first of it; all of it is in SyncRefusals. */
  refusals: SyncRefusal[]
}

export interface SyncRunInput {
  /** Id. */
  id: string
  /** sheets:…, soundtrack:… */
  source: string
  /** Start. */
  startedAt: number
  /** End. */
  endedAt: number
  /** REFUSED: read, but not taken. */
  outcome: SyncOutcome
  /** Valid rows or venues read. */
  venues?: number | undefined
  /** Rows that changed anything; 0 of sources that are not read by rows. */
  changed?: number | undefined
  /** Errors and refused rows. */
  errors?: number | undefined
  /** ms. */
  durationMs?: number | undefined
  /** Why, for people. */
  reason?: string | undefined
  /** What could not be read, the first of it; all of it is in SyncRefusals. */
  refusals?: SyncRefusalInput[] | undefined
}

/** Result of the effect `control`. */
export interface CommandDone {
  /** Id of the command. */
  command: string
  /** True when the provider took it. */
  accepted: boolean
  /** permission, forbidden, provider_down, rate_limited, invalid … */
  reason: string
  /** The provider's words. */
  detail: string
  /** When. */
  at: number
  /** True when it may or may not have been done; accepted is false then. */
  uncertain: boolean
}

export interface CommandDoneInput {
  /** Id of the command. */
  command: string
  /** True when the provider took it. */
  accepted: boolean
  /** permission, forbidden, provider_down, rate_limited, invalid … */
  reason?: string | undefined
  /** The provider's words. */
  detail?: string | undefined
  /** When. */
  at: number
  /** True when it may or may not have been done; accepted is false then. */
  uncertain?: boolean | undefined
}

/** Read again soon: an account, or one zone when named. */
export interface PollSooner {
  /** Venue id. */
  venue: string
  /** Account. */
  account: string
  /** Zone to read alone. */
  zone: null | string
  /** verify, talking, critical, flapping, refresh; renew: others want the account read, or nobody does. */
  reason: string
}

export interface PollSoonerInput {
  /** Venue id. */
  venue: string
  /** Account. */
  account: string
  /** Zone to read alone. */
  zone?: null | string | undefined
  /** verify, talking, critical, flapping, refresh; renew: others want the account read, or nobody does. */
  reason?: string | undefined
}

/** Input of the effects `read` and `poll`: which zones. */
export interface ReadZones {
  /** Account. */
  account: string
  /** One zone alone. */
  zone: null | string
  /** Expected number of zones, right-sizes the page. */
  first: number
  /** Whether each zone's location is needed: it costs tokens. */
  locations: boolean
  /** True: everything about each zone, before other reads; false: as much as the token budget affords. */
  full: boolean
  /** Whether the locations' names and addresses are needed: they cost tokens. */
  places: boolean
  /** A venue of high priority is among them: read more often. */
  urgent: boolean
  /** When the newest reading was told; 0 for never. It comes before others that are younger. */
  readAt: number
}

export interface ReadZonesInput {
  /** Account. */
  account: string
  /** One zone alone. */
  zone?: null | string | undefined
  /** Expected number of zones, right-sizes the page. */
  first?: number | undefined
  /** Whether each zone's location is needed: it costs tokens. */
  locations?: boolean | undefined
  /** True: everything about each zone, before other reads; false: as much as the token budget affords. */
  full?: boolean | undefined
  /** Whether the locations' names and addresses are needed: they cost tokens. */
  places?: boolean | undefined
  /** A venue of high priority is among them: read more often. */
  urgent?: boolean | undefined
  /** When the newest reading was told; 0 for never. It comes before others that are younger. */
  readAt?: number | undefined
}

/** A venue whose zones are read. */
export interface WatchedVenue {
  /** Venue id. */
  venue: string
  /** Its location in the account. */
  location: null | string
  /** priority_level critical or high: read more often. */
  urgent: boolean
  /** Name, while the location is not known. */
  name: null | string
  /** Address, while the location is not known. */
  address: null | string
}

export interface WatchedVenueInput {
  /** Venue id. */
  venue: string
  /** Its location in the account. */
  location?: null | string | undefined
  /** priority_level critical or high: read more often. */
  urgent?: boolean | undefined
  /** Name, while the location is not known. */
  name?: null | string | undefined
  /** Address, while the location is not known. */
  address?: null | string | undefined
}

/** A poll that was written to the synchronisation log. */
export interface PollRun {
  /** ok, or the error. */
  outcome: string
  /** When. */
  at: number
}

export interface PollRunInput {
  /** ok, or the error. */
  outcome: string
  /** When. */
  at: number
}

/** A command under way. */
export interface OpenCommand {
  /** Id of the command. */
  command: string
  /** Attempt that does it. */
  attempt: string
  /** Venue to answer. */
  venue: string
  /** Zone id. */
  zone: string
}

export interface OpenCommandInput {
  /** Id of the command. */
  command: string
  /** Attempt that does it. */
  attempt: string
  /** Venue to answer. */
  venue: string
  /** Zone id. */
  zone: string
}

/** A read of one zone under way. */
export interface OpenZoneRead {
  /** Zone id. */
  zone: string
  /** Venue to tell. */
  venue: string
  /** Attempt that reads it. */
  attempt: string
  /** Somebody asked for a read while this one was open. */
  again: boolean
}

export interface OpenZoneReadInput {
  /** Zone id. */
  zone: string
  /** Venue to tell. */
  venue: string
  /** Attempt that reads it. */
  attempt: string
  /** Somebody asked for a read while this one was open. */
  again?: boolean | undefined
}

/** State of the Soundtrack connector: of an account that is polled, or of a zone that is commanded. */
export interface SoundtrackState {
  /** Account. */
  account: string
  /** Who wants the account read, at most 100. */
  venues: WatchedVenue[]
  /** Zones of the account as last read, or as announced; 0 while unknown. */
  expected: number
  /** Open attempt that polls the account. */
  reading: null | string
  /** The open attempt is asked to end, so that one begins with what is wanted now. */
  again: boolean
  /** When the newest reading was told. */
  readAt: number
  /** Zones in the parts of the open read so far. */
  seen: number
  /** Of these, zones that could belong to more than one venue. */
  unassigned: number
  /** Such zones at the last whole read; above 0 an alert stands. */
  ambiguous: number
  /** The newest poll that was logged. */
  run: null | PollRun
  /** Commands under way, at most 32. */
  commands: OpenCommand[]
  /** Reads of single zones under way, at most one a zone. */
  zoneReads: OpenZoneRead[]
}

export interface SoundtrackStateInput {
  /** Account. */
  account: string
  /** Who wants the account read, at most 100. */
  venues?: WatchedVenueInput[] | undefined
  /** Zones of the account as last read, or as announced; 0 while unknown. */
  expected?: number | undefined
  /** Open attempt that polls the account. */
  reading?: null | string | undefined
  /** The open attempt is asked to end, so that one begins with what is wanted now. */
  again?: boolean | undefined
  /** When the newest reading was told. */
  readAt?: number | undefined
  /** Zones in the parts of the open read so far. */
  seen?: number | undefined
  /** Of these, zones that could belong to more than one venue. */
  unassigned?: number | undefined
  /** Such zones at the last whole read; above 0 an alert stands. */
  ambiguous?: number | undefined
  /** The newest poll that was logged. */
  run?: null | PollRunInput | undefined
  /** Commands under way, at most 32. */
  commands?: OpenCommandInput[] | undefined
  /** Reads of single zones under way, at most one a zone. */
  zoneReads?: OpenZoneReadInput[] | undefined
}

/** A venue wants its zones in an account read. */
export interface WatchVenue {
  /** Venue id. */
  venue: string
  /** Account. */
  account: string
  /** Location, where the account holds several venues. */
  location: null | string
  /** priority_level. */
  priority: null | string
  /** True stops. */
  stop: boolean
  /** Zones it should have, as far as known: right-sizes the first read. */
  zones: null | number
  /** Venue's name: tells its location from others of the account. */
  name: null | string
  /** Venue's address, for the same. */
  address: null | string
}

export interface WatchVenueInput {
  /** Venue id. */
  venue: string
  /** Account. */
  account: string
  /** Location, where the account holds several venues. */
  location?: null | string | undefined
  /** priority_level. */
  priority?: null | string | undefined
  /** True stops. */
  stop?: boolean | undefined
  /** Zones it should have, as far as known: right-sizes the first read. */
  zones?: null | number | undefined
  /** Venue's name: tells its location from others of the account. */
  name?: null | string | undefined
  /** Venue's address, for the same. */
  address?: null | string | undefined
}

export type ZoneCommandKind = 'UNKNOWN' | 'PLAY' | 'PAUSE' | 'SKIP' | 'SET_VOLUME'

/** What is to be done at a zone. */
export interface ZoneCommand {
  /** Id. */
  id: string
  /** Venue id, for the answer. */
  venue: string
  /** Account. */
  account: string
  /** Zone id. */
  zone: string
  /** What. */
  kind: ZoneCommandKind
  /** 0..16 for SET_VOLUME. */
  volume: null | number
  /** Not to be done after this time. */
  notAfter: number
}

export interface ZoneCommandInput {
  /** Id. */
  id: string
  /** Venue id, for the answer. */
  venue: string
  /** Account. */
  account: string
  /** Zone id. */
  zone: string
  /** What. */
  kind: ZoneCommandKind
  /** 0..16 for SET_VOLUME. */
  volume?: null | number | undefined
  /** Not to be done after this time. */
  notAfter: number
}

/** A zone as Soundtrack shows it. */
export interface ZoneReading {
  /** Zone id. */
  zone: string
  /** Name; empty where the zone could not be read. */
  name: string
  /** Location id. */
  location: null | string
  /** isPaired. */
  paired: null | boolean
  /** online. */
  online: null | boolean
  /** Subscription state. */
  subscription: null | string
  /** status.code. */
  statusCode: null | string
  /** playback.state. */
  playback: null | string
  /** playback.volume 0..16. */
  volume: null | number
  /** Title playing. */
  track: null | string
  /** Artists. */
  artist: null | string
  /** Playlist or schedule. */
  source: null | string
  /** nowPlaying.startedAt. */
  trackStartedAt: null | number
  /** Why this zone could not be read: Forbidden, Not found … */
  error: null | string
  /** False: only name, location, paired, online, playback and volume were asked for; the other nulls say nothing, what was known stands. */
  detail: boolean
  /** Location's name, where it was asked for. */
  locationName: null | string
  /** Location's address, where it was asked for. */
  locationAddress: null | string
}

export interface ZoneReadingInput {
  /** Zone id. */
  zone: string
  /** Name; empty where the zone could not be read. */
  name: string
  /** Location id. */
  location?: null | string | undefined
  /** isPaired. */
  paired?: null | boolean | undefined
  /** online. */
  online?: null | boolean | undefined
  /** Subscription state. */
  subscription?: null | string | undefined
  /** status.code. */
  statusCode?: null | string | undefined
  /** playback.state. */
  playback?: null | string | undefined
  /** playback.volume 0..16. */
  volume?: null | number | undefined
  /** Title playing. */
  track?: null | string | undefined
  /** Artists. */
  artist?: null | string | undefined
  /** Playlist or schedule. */
  source?: null | string | undefined
  /** nowPlaying.startedAt. */
  trackStartedAt?: null | number | undefined
  /** Why this zone could not be read: Forbidden, Not found … */
  error?: null | string | undefined
  /** False: only name, location, paired, online, playback and volume were asked for; the other nulls say nothing, what was known stands. */
  detail?: boolean | undefined
  /** Location's name, where it was asked for. */
  locationName?: null | string | undefined
  /** Location's address, where it was asked for. */
  locationAddress?: null | string | undefined
}

/** Result of the effect `read`, in parts. */
export interface ZonesRead {
  /** Account. */
  account: string
  /** The one zone asked for. */
  zone: null | string
  /** Zones of this part. */
  zones: ZoneReading[]
  /** Zones in the account; null where not every one of them could be read. */
  total: null | number
  /** provider_down, provider_slow, rate_limited, forbidden, unauthenticated; renew: nothing was read, what is wanted has changed. */
  error: null | string
  /** When. */
  asOf: number
  /** With an error: when the zones were last found as they had been told. */
  sameAsOf: null | number
}

export interface ZonesReadInput {
  /** Account. */
  account: string
  /** The one zone asked for. */
  zone?: null | string | undefined
  /** Zones of this part. */
  zones?: ZoneReadingInput[] | undefined
  /** Zones in the account; null where not every one of them could be read. */
  total?: null | number | undefined
  /** provider_down, provider_slow, rate_limited, forbidden, unauthenticated; renew: nothing was read, what is wanted has changed. */
  error?: null | string | undefined
  /** When. */
  asOf: number
  /** With an error: when the zones were last found as they had been told. */
  sameAsOf?: null | number | undefined
}

/** Input of the look-up `tenant`: answered where the tenant has other settings than those known. */
export interface TenantAsked {
  /** The tenant. */
  tenant: string
  /** Version of the settings that are known; 0 for none. */
  known: number
}

export interface TenantAskedInput {
  /** The tenant. */
  tenant: string
  /** Version of the settings that are known; 0 for none. */
  known: number
}

/** A tenant decides anew: a command with the settings as a whole. */
export interface TenantChange {
  /** Id of the command. */
  id: string
  /** Version that was changed; refused where another has come since. Null for whichever there is. */
  expected: null | number
  /** True for the settings of the environment: taken where there are none yet. */
  first: boolean
  /** IANA time zone, or an offset such as +07:00: of support, and of people whose venue names none. */
  timeZone: string
  /** When support opens, HH:MM in the time zone. */
  supportFrom: string
  /** When support closes, HH:MM in the time zone; later than `supportFrom`, 24:00 at most. */
  supportTo: string
  /** From when nothing is sent that nobody asked for, HH:MM in the time zone; null where there are no quiet hours. */
  quietFrom: null | string
  /** Until when, HH:MM; may be of the next day. */
  quietTo: null | string
  /** Calling code of phones written without one. */
  countryCode: string
  /** Language until a person has shown theirs: en or th. */
  language: string
  /** Least trust of a sender who may control zones: CLAIMED, HINTED or BOUND. */
  controlTrust: Trust
  /** Id of whoever changes them; empty for the environment. */
  by: string
  /** When. */
  at: number
}

export interface TenantChangeInput {
  /** Id of the command. */
  id: string
  /** Version that was changed; refused where another has come since. Null for whichever there is. */
  expected?: null | number | undefined
  /** True for the settings of the environment: taken where there are none yet. */
  first?: boolean | undefined
  /** IANA time zone, or an offset such as +07:00: of support, and of people whose venue names none. */
  timeZone: string
  /** When support opens, HH:MM in the time zone. */
  supportFrom: string
  /** When support closes, HH:MM in the time zone; later than `supportFrom`, 24:00 at most. */
  supportTo: string
  /** From when nothing is sent that nobody asked for, HH:MM in the time zone; null where there are no quiet hours. */
  quietFrom?: null | string | undefined
  /** Until when, HH:MM; may be of the next day. */
  quietTo?: null | string | undefined
  /** Calling code of phones written without one. */
  countryCode: string
  /** Language until a person has shown theirs: en or th. */
  language: string
  /** Least trust of a sender who may control zones: CLAIMED, HINTED or BOUND. */
  controlTrust: Trust
  /** Id of whoever changes them; empty for the environment. */
  by?: string | undefined
  /** When. */
  at: number
}

/** Bytes as they are, for benchmarks whose records have a layout of their own. */
export interface TrialBytes {
  /** The whole record. */
  payload: Buffer
}

export interface TrialBytesInput {
  /** The whole record. */
  payload: Buffer
}

/** Result of the trial actor's effects. */
export interface TrialDone {
  /** Number of the input. */
  sequence: number
}

export interface TrialDoneInput {
  /** Number of the input. */
  sequence: number
}

/** Input of the trial actor's effects. */
export interface TrialEffect {
  /** Number of the input. */
  sequence: number
}

export interface TrialEffectInput {
  /** Number of the input. */
  sequence: number
}

/** An input of the simulator and of the benchmarks. */
export interface TrialInput {
  /** Number of the input, from 0. */
  sequence: number
  /** add, once, again, timer, clear, poison, forget. */
  kind: string
  /** For a timer: when. For an effect: notAfter, 0 for none. */
  delayMs: number
  /** Ballast. */
  payload: Buffer
}

export interface TrialInputInput {
  /** Number of the input, from 0. */
  sequence: number
  /** add, once, again, timer, clear, poison, forget. */
  kind: string
  /** For a timer: when. For an effect: notAfter, 0 for none. */
  delayMs?: number | undefined
  /** Ballast. */
  payload?: Buffer | undefined
}

/** An output of the trial actor. */
export interface TrialOutput {
  /** Number of the input. */
  sequence: number
  /** Inputs handled for this key. */
  count: number
  /** handled, tick, done, late, UNKNOWN, EXPIRED, NOT_DONE. */
  what: string
  /** Ballast. */
  payload: Buffer
}

export interface TrialOutputInput {
  /** Number of the input. */
  sequence: number
  /** Inputs handled for this key. */
  count: number
  /** handled, tick, done, late, UNKNOWN, EXPIRED, NOT_DONE. */
  what?: string | undefined
  /** Ballast. */
  payload?: Buffer | undefined
}

/** State of the trial actor. */
export interface TrialState {
  /** Inputs handled. */
  count: number
  /** Number of the last input. */
  last: number
  /** Digest over all that was handled, in order. */
  digest: string
  /** Timers fired. */
  ticks: number
  /** Effects done. */
  done: number
  /** Effects ended unknown. */
  unknown: number
  /** Effects expired or given up. */
  undone: number
  /** Late results. */
  late: number
  /** Ballast. */
  payload: Buffer
}

export interface TrialStateInput {
  /** Inputs handled. */
  count: number
  /** Number of the last input. */
  last: number
  /** Digest over all that was handled, in order. */
  digest?: string | undefined
  /** Timers fired. */
  ticks?: number | undefined
  /** Effects done. */
  done?: number | undefined
  /** Effects ended unknown. */
  unknown?: number | undefined
  /** Effects expired or given up. */
  undone?: number | undefined
  /** Late results. */
  late?: number | undefined
  /** Ballast. */
  payload?: Buffer | undefined
}

/** What a human should see. */
export interface Alert {
  /** Id; the same id again is the same alert, newer. */
  id: string
  /** Venue. */
  venue: null | string
  /** Conversation. */
  conversation: null | string
  /** Who. */
  department: Department
  /** How urgent. */
  priority: Priority
  /** zone_offline, handover, sheet_refused, send_failed … */
  kind: string
  /** For people; no personal data. */
  text: string
  /** True when it has passed. */
  resolved: boolean
  /** When. */
  at: number
}

export interface AlertInput {
  /** Id; the same id again is the same alert, newer. */
  id: string
  /** Venue. */
  venue?: null | string | undefined
  /** Conversation. */
  conversation?: null | string | undefined
  /** Who. */
  department: Department
  /** How urgent. */
  priority: Priority
  /** zone_offline, handover, sheet_refused, send_failed … */
  kind: string
  /** For people; no personal data. */
  text: string
  /** True when it has passed. */
  resolved?: boolean | undefined
  /** When. */
  at: number
}

/** A venue as the venue sheet has it. */
export interface SheetRow {
  /** Venue id, tenant:venue. */
  venue: string
  /** Which sheet. */
  sheet: string
  /** True when the row has gone from the sheet. */
  removed: boolean
  /** venue_name. */
  name: string
  /** location. */
  location: string
  /** contact_name. Personal data. */
  contactName: null | string
  /** contact_email. Personal data. */
  contactEmail: null | string
  /** contact_phone as written. Personal data. */
  contactPhone: null | string
  /** contact_position, where the sheet has it. */
  contactPosition: null | string
  /** soundtrack_account_id. */
  soundtrackAccount: null | string
  /** soundtrack_location_id, where one account holds several venues. */
  soundtrackLocation: null | string
  /** zone_count. */
  zoneCount: null | number
  /** subscription_status. */
  subscriptionStatus: null | string
  /** last_issue_date, YYYY-MM-DD. */
  lastIssueDate: null | string
  /** notes. Personal data. */
  notes: null | string
  /** priority_level. */
  priorityLevel: null | string
  /** sla_tier. */
  slaTier: null | string
  /** Other names, Thai among them. */
  aliases: string[]
  /** volume_cap 0..16, where the sheet has it. */
  volumeCap: null | number
  /** When the sheet was read. */
  readAt: number
  /** Fields whose cells could not be read: what was known of them stays. */
  unread: string[]
}

export interface SheetRowInput {
  /** Venue id, tenant:venue. */
  venue: string
  /** Which sheet. */
  sheet: string
  /** True when the row has gone from the sheet. */
  removed?: boolean | undefined
  /** venue_name. */
  name: string
  /** location. */
  location?: string | undefined
  /** contact_name. Personal data. */
  contactName?: null | string | undefined
  /** contact_email. Personal data. */
  contactEmail?: null | string | undefined
  /** contact_phone as written. Personal data. */
  contactPhone?: null | string | undefined
  /** contact_position, where the sheet has it. */
  contactPosition?: null | string | undefined
  /** soundtrack_account_id. */
  soundtrackAccount?: null | string | undefined
  /** soundtrack_location_id, where one account holds several venues. */
  soundtrackLocation?: null | string | undefined
  /** zone_count. */
  zoneCount?: null | number | undefined
  /** subscription_status. */
  subscriptionStatus?: null | string | undefined
  /** last_issue_date, YYYY-MM-DD. */
  lastIssueDate?: null | string | undefined
  /** notes. Personal data. */
  notes?: null | string | undefined
  /** priority_level. */
  priorityLevel?: null | string | undefined
  /** sla_tier. */
  slaTier?: null | string | undefined
  /** Other names, Thai among them. */
  aliases?: string[] | undefined
  /** volume_cap 0..16, where the sheet has it. */
  volumeCap?: null | number | undefined
  /** When the sheet was read. */
  readAt: number
  /** Fields whose cells could not be read: what was known of them stays. */
  unread?: string[] | undefined
}

export type VenueEventKind = 'UNKNOWN' | 'CREATED' | 'CHANGED' | 'REMOVED' | 'ZONE_ONLINE' | 'ZONE_OFFLINE' | 'ZONE_UNKNOWN' | 'REQUEST' | 'COMMAND' | 'COMMAND_ENDED' | 'OVERRIDDEN' | 'OVERRIDE_TAKEN_BACK' | 'REFRESH'

/** Something that happened at a venue; no personal data. */
export interface VenueEvent {
  /** Id. */
  id: string
  /** Venue. */
  venue: string
  /** What. */
  kind: VenueEventKind
  /** Zone id. */
  zone: null | string
  /** Request id. */
  request: null | string
  /** Command id. */
  command: null | string
  /** For people: fields changed, what was requested and why it was not done. */
  detail: null | string
  /** Outcome. */
  outcome: null | string
  /** Volume before. */
  from: null | number
  /** Volume after. */
  to: null | number
  /** When. */
  at: number
  /** REQUEST, COMMAND, COMMAND_ENDED: what was requested, such as SET_VOLUME or PAUSE; null in events written before the field was. */
  action: null | string
  /** REQUEST, COMMAND_ENDED: why it was refused, expired or could not be verified, as a code; or why the service made the request. */
  reason: null | string
}

export interface VenueEventInput {
  /** Id. */
  id: string
  /** Venue. */
  venue: string
  /** What. */
  kind: VenueEventKind
  /** Zone id. */
  zone?: null | string | undefined
  /** Request id. */
  request?: null | string | undefined
  /** Command id. */
  command?: null | string | undefined
  /** For people: fields changed, what was requested and why it was not done. */
  detail?: null | string | undefined
  /** Outcome. */
  outcome?: null | string | undefined
  /** Volume before. */
  from?: null | number | undefined
  /** Volume after. */
  to?: null | number | undefined
  /** When. */
  at: number
  /** REQUEST, COMMAND, COMMAND_ENDED: what was requested, such as SET_VOLUME or PAUSE; null in events written before the field was. */
  action?: null | string | undefined
  /** REQUEST, COMMAND_ENDED: why it was refused, expired or could not be verified, as a code; or why the service made the request. */
  reason?: null | string | undefined
}

/** A person of support forces a field of a venue to a value, or takes that back: a command. */
export interface VenueOverride {
  /** Id of the command. */
  id: string
  /** Field of the venue. */
  field: string
  /** The value as JSON; null takes the override back. Personal data. */
  value: null | string
  /** Why. */
  reason: string
  /** Id of the person of support. */
  by: string
  /** When. */
  at: number
}

export interface VenueOverrideInput {
  /** Id of the command. */
  id: string
  /** Field of the venue. */
  field: string
  /** The value as JSON; null takes the override back. Personal data. */
  value?: null | string | undefined
  /** Why. */
  reason?: string | undefined
  /** Id of the person of support. */
  by: string
  /** When. */
  at: number
}

/** Source and time of a field. */
export interface Provenance {
  /** Field. */
  field: string
  /** override, sheets, soundtrack, gmail, database. */
  source: string
  /** When the source had it so. */
  at: number
}

export interface ProvenanceInput {
  /** Field. */
  field: string
  /** override, sheets, soundtrack, gmail, database. */
  source: string
  /** When the source had it so. */
  at: number
}

export type ZoneState = 'UNKNOWN' | 'ONLINE' | 'OFFLINE'

/** A zone. */
export interface ZoneProfile {
  /** Zone id. */
  zone: string
  /** Name. */
  name: string
  /** UNKNOWN where it could not be read. */
  status: ZoneState
  /** unpaired, no_subscription, expired, muted … or empty. */
  detail: string
  /** playing, paused … */
  playback: null | string
  /** 0..16. */
  volume: null | number
  /** Title. */
  track: null | string
  /** Artist. */
  artist: null | string
  /** Playlist or schedule. */
  source: null | string
  /** Since when in this status. */
  since: null | number
  /** When last seen online. */
  lastSeen: null | number
  /** When last read. */
  asOf: null | number
}

export interface ZoneProfileInput {
  /** Zone id. */
  zone: string
  /** Name. */
  name: string
  /** UNKNOWN where it could not be read. */
  status: ZoneState
  /** unpaired, no_subscription, expired, muted … or empty. */
  detail?: string | undefined
  /** playing, paused … */
  playback?: null | string | undefined
  /** 0..16. */
  volume?: null | number | undefined
  /** Title. */
  track?: null | string | undefined
  /** Artist. */
  artist?: null | string | undefined
  /** Playlist or schedule. */
  source?: null | string | undefined
  /** Since when in this status. */
  since?: null | number | undefined
  /** When last seen online. */
  lastSeen?: null | number | undefined
  /** When last read. */
  asOf?: null | number | undefined
}

/** A field that a person of support has forced. */
export interface OverrideView {
  /** Field. */
  field: string
  /** Id of the person of support. */
  by: string
  /** Why. */
  reason: string
  /** Since when. */
  at: number
}

export interface OverrideViewInput {
  /** Field. */
  field: string
  /** Id of the person of support. */
  by: string
  /** Why. */
  reason?: string | undefined
  /** Since when. */
  at: number
}

/** A venue merged from its sources, every field with its source and time. */
export interface VenueProfile {
  /** Venue id. */
  venue: string
  /** Name. */
  name: string
  /** Location. */
  location: string
  /** Other names. */
  aliases: string[]
  /** Contact on file. Personal data. */
  contactName: null | string
  /** E-mail on file. Personal data. */
  contactEmail: null | string
  /** Phone on file, E.164 digits. Personal data. */
  contactPhone: null | string
  /** Position on file. */
  contactPosition: null | string
  /** Soundtrack account. */
  soundtrackAccount: null | string
  /** Soundtrack location. */
  soundtrackLocation: null | string
  /** Zones by the sheet. */
  zoneCount: null | number
  /** Subscription. */
  subscriptionStatus: null | string
  /** Last issue. */
  lastIssueDate: null | string
  /** Notes. Personal data. */
  notes: null | string
  /** Priority. */
  priorityLevel: null | string
  /** SLA tier. */
  slaTier: null | string
  /** Volume cap 0..16. */
  volumeCap: number
  /** Source and time per field. */
  provenance: Provenance[]
  /** Zones. */
  zones: ZoneProfile[]
  /** True when the venue has gone from the sheet. */
  removed: boolean
  /** When it last changed. */
  updatedAt: number
  /** Fields that are forced. */
  overrides: OverrideView[]
  /** The newest command ids with their outcome, bounded. */
  commands: CommandOutcome[]
  /** Why no zones are known: ambiguous, forbidden …; empty where some are, or none has been read yet. */
  readError: string
}

export interface VenueProfileInput {
  /** Venue id. */
  venue: string
  /** Name. */
  name: string
  /** Location. */
  location?: string | undefined
  /** Other names. */
  aliases?: string[] | undefined
  /** Contact on file. Personal data. */
  contactName?: null | string | undefined
  /** E-mail on file. Personal data. */
  contactEmail?: null | string | undefined
  /** Phone on file, E.164 digits. Personal data. */
  contactPhone?: null | string | undefined
  /** Position on file. */
  contactPosition?: null | string | undefined
  /** Soundtrack account. */
  soundtrackAccount?: null | string | undefined
  /** Soundtrack location. */
  soundtrackLocation?: null | string | undefined
  /** Zones by the sheet. */
  zoneCount?: null | number | undefined
  /** Subscription. */
  subscriptionStatus?: null | string | undefined
  /** Last issue. */
  lastIssueDate?: null | string | undefined
  /** Notes. Personal data. */
  notes?: null | string | undefined
  /** Priority. */
  priorityLevel?: null | string | undefined
  /** SLA tier. */
  slaTier?: null | string | undefined
  /** Volume cap 0..16. */
  volumeCap?: number | undefined
  /** Source and time per field. */
  provenance?: ProvenanceInput[] | undefined
  /** Zones. */
  zones?: ZoneProfileInput[] | undefined
  /** True when the venue has gone from the sheet. */
  removed?: boolean | undefined
  /** When it last changed. */
  updatedAt: number
  /** Fields that are forced. */
  overrides?: OverrideViewInput[] | undefined
  /** The newest command ids with their outcome, bounded. */
  commands?: CommandOutcomeInput[] | undefined
  /** Why no zones are known: ambiguous, forbidden …; empty where some are, or none has been read yet. */
  readError?: string | undefined
}

/** The zones of a venue are wanted now: by a person of support, as a command, or by a conversation that waits for them. */
export interface VenueRefresh {
  /** Id of the command, or of the wish. */
  id: string
  /** Id of the person of support, or of the conversation. */
  by: string
  /** When. */
  at: number
}

export interface VenueRefreshInput {
  /** Id of the command, or of the wish. */
  id: string
  /** Id of the person of support, or of the conversation. */
  by: string
  /** When. */
  at: number
}

export type JobPhase = 'UNKNOWN' | 'READING' | 'SENT' | 'VERIFYING'

/** What is under way at a zone; its command has the id request.slot. */
export interface ZoneJob {
  /** Number of the open request. */
  request: number
  /** READING: the zone is read before anything is decided. SENT: the command is with the connector. VERIFYING: the provider took it, or may have. */
  phase: JobPhase
  /** Volume before. */
  from: null | number
  /** Volume asked for. */
  to: null | number
  /** For SKIP: what tells the track that was playing from the next. */
  mark: string
  /** Readings asked for in this phase. */
  tries: number
  /** When the command was sent. */
  sentAt: null | number
  /** When the provider took it, by the connector's clock: only a later reading proves anything. */
  resultAt: null | number
  /** When this phase ends. */
  until: null | number
  /** True when the provider may or may not have taken it. */
  doubtful: boolean
  /** Why it is doubtful. */
  reason: string
}

export interface ZoneJobInput {
  /** Number of the open request. */
  request: number
  /** READING: the zone is read before anything is decided. SENT: the command is with the connector. VERIFYING: the provider took it, or may have. */
  phase: JobPhase
  /** Volume before. */
  from?: null | number | undefined
  /** Volume asked for. */
  to?: null | number | undefined
  /** For SKIP: what tells the track that was playing from the next. */
  mark?: string | undefined
  /** Readings asked for in this phase. */
  tries?: number | undefined
  /** When the command was sent. */
  sentAt?: null | number | undefined
  /** When the provider took it, by the connector's clock: only a later reading proves anything. */
  resultAt?: null | number | undefined
  /** When this phase ends. */
  until?: null | number | undefined
  /** True when the provider may or may not have taken it. */
  doubtful?: boolean | undefined
  /** Why it is doubtful. */
  reason?: string | undefined
}

/** A zone as last known, and what is under way there. */
export interface ZoneSlot {
  /** Short name of the zone in this state; never used again. */
  slot: number
  /** Zone id. */
  zone: string
  /** Name. */
  name: string
  /** UNKNOWN where never read, or not for too long. */
  status: ZoneState
  /** unpaired, no_subscription, expired, muted or empty. */
  detail: string
  /** playing, paused … */
  playback: null | string
  /** 0..16. */
  volume: null | number
  /** Title, cut where a venue has many zones. */
  track: null | string
  /** Artist, cut likewise. */
  artist: null | string
  /** Playlist or schedule, cut likewise. */
  source: null | string
  /** When the track started. */
  startedAt: null | number
  /** When last read. */
  asOf: null | number
  /** Since when in this status. */
  since: null | number
  /** When last seen online. */
  lastSeen: null | number
  /** Why the newest reading of this zone failed; empty where it did not. */
  failed: string
  /** When first read as offline, while a second reading is awaited. */
  suspectAt: null | number
  /** When its track, source and subscription were last read: not every reading has them. */
  detailAt: null | number
  /** When somebody last asked about it. */
  talkedAt: null | number
  /** Times its readings changed between online and offline in the present window. */
  flips: number
  /** When that window began. */
  flipsFrom: null | number
  /** Volume before it went to 0. */
  formerVolume: null | number
  /** When it was last reported as offline. */
  alertedAt: null | number
  /** True until that has passed. */
  alertOpen: boolean
  /** What is under way. */
  job: null | ZoneJob
  /** Numbers of the requests that wait for it, in order. */
  waiting: number[]
}

export interface ZoneSlotInput {
  /** Short name of the zone in this state; never used again. */
  slot: number
  /** Zone id. */
  zone: string
  /** Name. */
  name: string
  /** UNKNOWN where never read, or not for too long. */
  status?: ZoneState | undefined
  /** unpaired, no_subscription, expired, muted or empty. */
  detail?: string | undefined
  /** playing, paused … */
  playback?: null | string | undefined
  /** 0..16. */
  volume?: null | number | undefined
  /** Title, cut where a venue has many zones. */
  track?: null | string | undefined
  /** Artist, cut likewise. */
  artist?: null | string | undefined
  /** Playlist or schedule, cut likewise. */
  source?: null | string | undefined
  /** When the track started. */
  startedAt?: null | number | undefined
  /** When last read. */
  asOf?: null | number | undefined
  /** Since when in this status. */
  since?: null | number | undefined
  /** When last seen online. */
  lastSeen?: null | number | undefined
  /** Why the newest reading of this zone failed; empty where it did not. */
  failed?: string | undefined
  /** When first read as offline, while a second reading is awaited. */
  suspectAt?: null | number | undefined
  /** When its track, source and subscription were last read: not every reading has them. */
  detailAt?: null | number | undefined
  /** When somebody last asked about it. */
  talkedAt?: null | number | undefined
  /** Times its readings changed between online and offline in the present window. */
  flips?: number | undefined
  /** When that window began. */
  flipsFrom?: null | number | undefined
  /** Volume before it went to 0. */
  formerVolume?: null | number | undefined
  /** When it was last reported as offline. */
  alertedAt?: null | number | undefined
  /** True until that has passed. */
  alertOpen?: boolean | undefined
  /** What is under way. */
  job?: null | ZoneJobInput | undefined
  /** Numbers of the requests that wait for it, in order. */
  waiting?: number[] | undefined
}

/** What became of it at a zone. */
export interface ZoneEnd {
  /** Slot. */
  slot: number
  /** Outcome. */
  outcome: RequestOutcome
  /** Code of the reason. */
  reason: string
}

export interface ZoneEndInput {
  /** Slot. */
  slot: number
  /** Outcome. */
  outcome: RequestOutcome
  /** Code of the reason. */
  reason?: string | undefined
}

/** A request that is not answered yet. */
export interface OpenRequest {
  /** Its number in this state. */
  seq: number
  /** Id. */
  id: string
  /** Conversation to answer. */
  conversation: null | string
  /** What. */
  kind: ZoneRequestKind
  /** Volume or steps. */
  value: null | number
  /** PAUSE for how long, ms. */
  durationMs: null | number
  /** When it was taken. */
  takenAt: number
  /** True once a first word was due. */
  worded: boolean
  /** Slots asked about; empty for all. */
  asked: number[]
  /** Slots without a result. */
  open: number[]
  /** Slots with a result. */
  results: ZoneEnd[]
}

export interface OpenRequestInput {
  /** Its number in this state. */
  seq: number
  /** Id. */
  id: string
  /** Conversation to answer. */
  conversation?: null | string | undefined
  /** What. */
  kind: ZoneRequestKind
  /** Volume or steps. */
  value?: null | number | undefined
  /** PAUSE for how long, ms. */
  durationMs?: null | number | undefined
  /** When it was taken. */
  takenAt: number
  /** True once a first word was due. */
  worded?: boolean | undefined
  /** Slots asked about; empty for all. */
  asked?: number[] | undefined
  /** Slots without a result. */
  open?: number[] | undefined
  /** Slots with a result. */
  results?: ZoneEndInput[] | undefined
}

/** Zones paused together for a time. */
export interface DueResume {
  /** Number of the request that paused them. */
  request: number
  /** Conversation to tell. */
  conversation: null | string
  /** Slots. */
  slots: number[]
}

export interface DueResumeInput {
  /** Number of the request that paused them. */
  request: number
  /** Conversation to tell. */
  conversation?: null | string | undefined
  /** Slots. */
  slots?: number[] | undefined
}

/** An alert about the whole venue. */
export interface RaisedAlert {
  /** Kind. */
  kind: string
  /** When it was last raised. */
  at: number
  /** True until it has passed. */
  open: boolean
}

export interface RaisedAlertInput {
  /** Kind. */
  kind: string
  /** When it was last raised. */
  at: number
  /** True until it has passed. */
  open?: boolean | undefined
}

/** A field that a person of support has forced. */
export interface FieldOverride {
  /** Field. */
  field: string
  /** Id of the person of support. */
  by: string
  /** Why. */
  reason: string
  /** Since when. */
  at: number
  /** What the sources say, as JSON; becomes the value again when the override is taken back. Personal data. */
  under: string
  /** Their source; null where none has said anything. */
  underSource: null | string
  /** Since when they say so. */
  underAt: number
}

export interface FieldOverrideInput {
  /** Field. */
  field: string
  /** Id of the person of support. */
  by: string
  /** Why. */
  reason?: string | undefined
  /** Since when. */
  at: number
  /** What the sources say, as JSON; becomes the value again when the override is taken back. Personal data. */
  under: string
  /** Their source; null where none has said anything. */
  underSource?: null | string | undefined
  /** Since when they say so. */
  underAt?: number | undefined
}

/** State of the actor `venue`. */
export interface VenueState {
  /** Name. */
  name: string
  /** Location. */
  location: string
  /** Other names. */
  aliases: string[]
  /** Contact on file. Personal data. */
  contactName: null | string
  /** E-mail on file. Personal data. */
  contactEmail: null | string
  /** Phone on file, E.164 digits. Personal data. */
  contactPhone: null | string
  /** Position on file. */
  contactPosition: null | string
  /** Soundtrack account. */
  soundtrackAccount: null | string
  /** Soundtrack location. */
  soundtrackLocation: null | string
  /** Zones by the sheet. */
  zoneCount: null | number
  /** Subscription. */
  subscriptionStatus: null | string
  /** Last issue. */
  lastIssueDate: null | string
  /** Notes. Personal data. */
  notes: null | string
  /** Priority. */
  priorityLevel: null | string
  /** SLA tier. */
  slaTier: null | string
  /** Volume cap 0..16. */
  volumeCap: number
  /** Source and time per field. */
  provenance: Provenance[]
  /** True when the venue has gone from the sheet. */
  removed: boolean
  /** When something people see last changed. */
  updatedAt: number
  /** When the profile was last written. */
  publishedAt: number
  /** Why the newest reading of the account failed; empty where it did not. */
  readError: string
  /** Zones, 60 at most. */
  zones: ZoneSlot[]
  /** Next slot. */
  nextSlot: number
  /** Open requests, 20 at most. */
  requests: OpenRequest[]
  /** Next number of a request. */
  nextRequest: number
  /** What is to play again, 10 at most. */
  resumes: DueResume[]
  /** Alerts by kind. */
  alerts: RaisedAlert[]
  /** Fields that are forced, and what the sources say of them. */
  overrides: FieldOverride[]
  /** When all zones were last read, as far as the venue was told: what they showed then, or since, stands until `standsUntil`. */
  standsFrom: number
  /** As long as nothing else is told. */
  standsUntil: number
  /** Settings of the tenant, as last looked up; null for those of the process. */
  tenant: null | TenantSettings
}

export interface VenueStateInput {
  /** Name. */
  name: string
  /** Location. */
  location?: string | undefined
  /** Other names. */
  aliases?: string[] | undefined
  /** Contact on file. Personal data. */
  contactName?: null | string | undefined
  /** E-mail on file. Personal data. */
  contactEmail?: null | string | undefined
  /** Phone on file, E.164 digits. Personal data. */
  contactPhone?: null | string | undefined
  /** Position on file. */
  contactPosition?: null | string | undefined
  /** Soundtrack account. */
  soundtrackAccount?: null | string | undefined
  /** Soundtrack location. */
  soundtrackLocation?: null | string | undefined
  /** Zones by the sheet. */
  zoneCount?: null | number | undefined
  /** Subscription. */
  subscriptionStatus?: null | string | undefined
  /** Last issue. */
  lastIssueDate?: null | string | undefined
  /** Notes. Personal data. */
  notes?: null | string | undefined
  /** Priority. */
  priorityLevel?: null | string | undefined
  /** SLA tier. */
  slaTier?: null | string | undefined
  /** Volume cap 0..16. */
  volumeCap?: number | undefined
  /** Source and time per field. */
  provenance?: ProvenanceInput[] | undefined
  /** True when the venue has gone from the sheet. */
  removed?: boolean | undefined
  /** When something people see last changed. */
  updatedAt?: number | undefined
  /** When the profile was last written. */
  publishedAt?: number | undefined
  /** Why the newest reading of the account failed; empty where it did not. */
  readError?: string | undefined
  /** Zones, 60 at most. */
  zones?: ZoneSlotInput[] | undefined
  /** Next slot. */
  nextSlot?: number | undefined
  /** Open requests, 20 at most. */
  requests?: OpenRequestInput[] | undefined
  /** Next number of a request. */
  nextRequest?: number | undefined
  /** What is to play again, 10 at most. */
  resumes?: DueResumeInput[] | undefined
  /** Alerts by kind. */
  alerts?: RaisedAlertInput[] | undefined
  /** Fields that are forced, and what the sources say of them. */
  overrides?: FieldOverrideInput[] | undefined
  /** When all zones were last read, as far as the venue was told: what they showed then, or since, stands until `standsUntil`. */
  standsFrom?: number | undefined
  /** As long as nothing else is told. */
  standsUntil?: number | undefined
  /** Settings of the tenant, as last looked up; null for those of the process. */
  tenant?: null | TenantSettingsInput | undefined
}

/** What somebody wants of a venue's zones. */
export interface ZoneRequest {
  /** Id. */
  id: string
  /** Conversation to answer; null for none. */
  conversation: null | string
  /** What. */
  kind: ZoneRequestKind
  /** Zone ids; empty for all. */
  zones: string[]
  /** Volume 0..16 for VOLUME_SET; steps of 16 for VOLUME_UP and VOLUME_DOWN, 2 where null. */
  value: null | number
  /** PAUSE for how long, ms. */
  durationMs: null | number
  /** Trust of the sender. */
  trust: Trust
  /** Sender's id. Personal data. */
  bySender: null | string
  /** When the person asked, provider's time. */
  requestedAt: number
}

export interface ZoneRequestInput {
  /** Id. */
  id: string
  /** Conversation to answer; null for none. */
  conversation?: null | string | undefined
  /** What. */
  kind: ZoneRequestKind
  /** Zone ids; empty for all. */
  zones?: string[] | undefined
  /** Volume 0..16 for VOLUME_SET; steps of 16 for VOLUME_UP and VOLUME_DOWN, 2 where null. */
  value?: null | number | undefined
  /** PAUSE for how long, ms. */
  durationMs?: null | number | undefined
  /** Trust of the sender. */
  trust: Trust
  /** Sender's id. Personal data. */
  bySender?: null | string | undefined
  /** When the person asked, provider's time. */
  requestedAt: number
}

export type CommandOutcomeKind = 'UNKNOWN' | 'ACCEPTED' | 'REFUSED' | 'EXPIRED'

/** What became of a zone command at the provider. */
export interface ZoneResult {
  /** Id of the command. */
  command: string
  /** Zone id. */
  zone: string
  /** ACCEPTED: the provider took it, nothing more. UNKNOWN: it may or may not have been done. */
  outcome: CommandOutcomeKind
  /** permission, forbidden, provider_down, provider_slow, rate_limited, invalid … */
  reason: string
  /** For people. */
  detail: string
  /** When. */
  at: number
}

export interface ZoneResultInput {
  /** Id of the command. */
  command: string
  /** Zone id. */
  zone: string
  /** ACCEPTED: the provider took it, nothing more. UNKNOWN: it may or may not have been done. */
  outcome: CommandOutcomeKind
  /** permission, forbidden, provider_down, provider_slow, rate_limited, invalid … */
  reason?: string | undefined
  /** For people. */
  detail?: string | undefined
  /** When. */
  at: number
}

/** Zones of a venue as just read, or the news that they could not be. */
export interface ZoneSnapshot {
  /** Soundtrack account. */
  account: string
  /** Zones read. */
  zones: ZoneReading[]
  /** True when these are all zones of the venue in the account. */
  complete: boolean
  /** Why nothing could be read: provider_down, provider_slow, rate_limited, forbidden, unauthenticated; null when it was. */
  error: null | string
  /** When the answer came. */
  asOf: number
  /** Of all zones: as long as nothing else is told until then, nothing has changed. */
  standsUntil: null | number
  /** With an error: when the zones were last found as they had been told. */
  sameAsOf: null | number
}

export interface ZoneSnapshotInput {
  /** Soundtrack account. */
  account: string
  /** Zones read. */
  zones?: ZoneReadingInput[] | undefined
  /** True when these are all zones of the venue in the account. */
  complete?: boolean | undefined
  /** Why nothing could be read: provider_down, provider_slow, rate_limited, forbidden, unauthenticated; null when it was. */
  error?: null | string | undefined
  /** When the answer came. */
  asOf: number
  /** Of all zones: as long as nothing else is told until then, nothing has changed. */
  standsUntil?: null | number | undefined
  /** With an error: when the zones were last found as they had been told. */
  sameAsOf?: null | number | undefined
}

/** Every record type by name, as read. */
export interface Records {
  AuditEvent: AuditEvent
  DeliveryState: DeliveryState
  SendResult: SendResult
  AgentAction: AgentAction
  ChatMessage: ChatMessage
  ConversationEvent: ConversationEvent
  ConversationProfile: ConversationProfile
  ConversationState: ConversationState
  DeliveryStatus: DeliveryStatus
  ErasePerson: ErasePerson
  Issue: Issue
  SendMessage: SendMessage
  SendOutcome: SendOutcome
  Understand: Understand
  Understood: Understood
  VenueAnswer: VenueAnswer
  DeadLetter: DeadLetter
  EffectEnded: EffectEnded
  Envelope: Envelope
  LedgerInput: LedgerInput
  LogIdentity: LogIdentity
  Redrive: Redrive
  SchemaText: SchemaText
  TaskDecision: TaskDecision
  TaskInbox: TaskInbox
  TaskPosition: TaskPosition
  TaskStop: TaskStop
  TimerDue: TimerDue
  ReadSheet: ReadSheet
  SheetBucket: SheetBucket
  SheetBucketTaken: SheetBucketTaken
  SheetPart: SheetPart
  SheetState: SheetState
  SyncNow: SyncNow
  SyncRefusals: SyncRefusals
  SyncRun: SyncRun
  CommandDone: CommandDone
  PollSooner: PollSooner
  ReadZones: ReadZones
  SoundtrackState: SoundtrackState
  WatchVenue: WatchVenue
  ZoneCommand: ZoneCommand
  ZonesRead: ZonesRead
  TenantAsked: TenantAsked
  TenantChange: TenantChange
  TenantSettings: TenantSettings
  TrialBytes: TrialBytes
  TrialDone: TrialDone
  TrialEffect: TrialEffect
  TrialInput: TrialInput
  TrialOutput: TrialOutput
  TrialState: TrialState
  Alert: Alert
  SheetRow: SheetRow
  VenueEvent: VenueEvent
  VenueOverride: VenueOverride
  VenueProfile: VenueProfile
  VenueRefresh: VenueRefresh
  VenueState: VenueState
  ZoneRequest: ZoneRequest
  ZoneResult: ZoneResult
  ZoneSnapshot: ZoneSnapshot
}

/** Every record type by name, as written. */
export interface RecordInputs {
  AuditEvent: AuditEventInput
  DeliveryState: DeliveryStateInput
  SendResult: SendResultInput
  AgentAction: AgentActionInput
  ChatMessage: ChatMessageInput
  ConversationEvent: ConversationEventInput
  ConversationProfile: ConversationProfileInput
  ConversationState: ConversationStateInput
  DeliveryStatus: DeliveryStatusInput
  ErasePerson: ErasePersonInput
  Issue: IssueInput
  SendMessage: SendMessageInput
  SendOutcome: SendOutcomeInput
  Understand: UnderstandInput
  Understood: UnderstoodInput
  VenueAnswer: VenueAnswerInput
  DeadLetter: DeadLetterInput
  EffectEnded: EffectEndedInput
  Envelope: EnvelopeInput
  LedgerInput: LedgerInputInput
  LogIdentity: LogIdentityInput
  Redrive: RedriveInput
  SchemaText: SchemaTextInput
  TaskDecision: TaskDecisionInput
  TaskInbox: TaskInboxInput
  TaskPosition: TaskPositionInput
  TaskStop: TaskStopInput
  TimerDue: TimerDueInput
  ReadSheet: ReadSheetInput
  SheetBucket: SheetBucketInput
  SheetBucketTaken: SheetBucketTakenInput
  SheetPart: SheetPartInput
  SheetState: SheetStateInput
  SyncNow: SyncNowInput
  SyncRefusals: SyncRefusalsInput
  SyncRun: SyncRunInput
  CommandDone: CommandDoneInput
  PollSooner: PollSoonerInput
  ReadZones: ReadZonesInput
  SoundtrackState: SoundtrackStateInput
  WatchVenue: WatchVenueInput
  ZoneCommand: ZoneCommandInput
  ZonesRead: ZonesReadInput
  TenantAsked: TenantAskedInput
  TenantChange: TenantChangeInput
  TenantSettings: TenantSettingsInput
  TrialBytes: TrialBytesInput
  TrialDone: TrialDoneInput
  TrialEffect: TrialEffectInput
  TrialInput: TrialInputInput
  TrialOutput: TrialOutputInput
  TrialState: TrialStateInput
  Alert: AlertInput
  SheetRow: SheetRowInput
  VenueEvent: VenueEventInput
  VenueOverride: VenueOverrideInput
  VenueProfile: VenueProfileInput
  VenueRefresh: VenueRefreshInput
  VenueState: VenueStateInput
  ZoneRequest: ZoneRequestInput
  ZoneResult: ZoneResultInput
  ZoneSnapshot: ZoneSnapshotInput
}

export type RecordName = keyof Records
