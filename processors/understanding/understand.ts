/**
 * What a message means, by rules and the venue index alone: no model, no I/O. The same message, dialogue state and index give
 * the same meaning.
 */
import type { IntentInput, Understand, UnderstoodInput, VenueMatchInput, VenueProfile, VenueZone } from '../../schemas/types.ts'
import { MIN_CONFIDENCE, groupOfIntent, type IntentRead, intentsIn } from './intents.ts'
import { type Language, languageOf } from './language.ts'
import { condensed, issueLabel, sentimentOf } from './mood.ts'
import { normalise, words } from './normalize.ts'
import { answeredName, answeredPosition, introducedName, knownPosition } from './people.ts'
import { overrideIn, type Reply, replyIn } from './reply.ts'
import { durationIn, volumeIn } from './slots.ts'
import type { VenueIndex, VenueMatchResult } from './venues.ts'
import { type Mention, withoutZones, zonesIn, zonesOf } from './zones.ts'

/** States in which the whole answer may be a venue's name. */
const ASKING = new Set(['ASKING_VENUE_NAME', 'CONFIRMING_VENUE', 'MULTIPLE_MATCHES', 'NOT_FOUND'])
/** States in which venues are looked for first and everywhere in the message; in the others zones come first. */
const OPEN = new Set([...ASKING, 'INITIAL'])
/** Intents that may be about a zone. */
const ZONED = new Set(['control', 'trouble', undefined])
const ZONED_INFO = new Set(['what_playing', 'status_check', 'schedule_query', 'list_zones'])
const VOLUME = new Set(['volume_up', 'volume_down', 'volume_set'])
/** States that ask for something other than the issue. */
const WITHOUT_ISSUE = new Set([...ASKING, 'INITIAL', 'ASKING_PERSON_NAME', 'ASKING_POSITION'])
/** Fewer words are no issue by themselves. */
const MIN_ISSUE_WORDS = 3

/** A message that is understood. */
export interface Understanding {
  readonly understood: UnderstoodInput
  /** The same with the venue's current zones; only what depends on them is evaluated again. */
  again(): UnderstoodInput
}

export function understand(input: Understand, index: VenueIndex): UnderstoodInput {
  return understanding(input, index).understood
}

export function understanding(input: Understand, index: VenueIndex): Understanding {
  const onFile = input.phone === null ? [] : index.byPhone(input.phone)
  const pressed = input.actionId === null ? null : meaningOfAction(input.actionId, index)
  const meaning = pressed === null ? meaningOfText(input, onFile, index) : () => ({ ...ofAction(input), ...pressed })
  const again = (): UnderstoodInput => {
    const venue = input.venue === null ? null : index.venue(input.venue)
    return {
      message: input.message,
      onFile: onFile.map(({ venue, name, location, contactName, contactPosition }) => ({
        venue,
        name,
        location,
        contact: contactName ?? '',
        position: contactPosition,
      })),
      venueName: venue?.name ?? null,
      venueLocation: venue?.location ?? null,
      zones: zonesAt(venue),
      action: input.actionId,
      ...meaning(venue),
    }
  }
  return { understood: again(), again }
}

/** The meaning that every button or list row has. */
function ofAction({ language }: Understand) {
  return {
    language: languageOf('', language),
    sentiment: 'NEUTRAL',
    reply: 'NONE',
    override: 'NONE',
    match: 'NONE',
  } as const
}

/** The meaning of a button or list row, from its id. Null for an unknown id; then the text counts. */
function meaningOfAction(action: string, index: VenueIndex): Partial<UnderstoodInput> | null {
  const [kind, ...rest] = action.split(':')
  const argument = rest.join(':')
  if (action === 'human') return { override: 'HUMAN' }
  if (action === 'venue:none') return { reply: 'NONE_OF_THESE' }
  if (kind === 'confirm' || kind === 'contact') {
    if (argument === 'yes' || argument === 'no') return { reply: argument === 'yes' ? 'YES' : 'NO' }
  }
  if (kind === 'zone' && argument !== '') return { intents: [{ kind: 'unknown', confidence: 0, zone: argument }] }
  const chosen = kind === 'venue' ? index.venue(argument) : null
  if (chosen === null) return null
  return { match: 'EXACT', matches: [{ venue: chosen.venue, name: chosen.name, location: chosen.location, score: 1 }] }
}

type Meaning = Omit<UnderstoodInput, 'message' | 'onFile' | 'venueName' | 'venueLocation' | 'zones' | 'action'>

/** The meaning of a text, as a function of the venue's zones; whatever does not depend on them is evaluated once. */
function meaningOfText(
  input: Understand,
  onFile: readonly VenueProfile[],
  index: VenueIndex,
): (venue: VenueProfile | null) => Meaning {
  const { text, dialogue } = input
  const plain = normalise(text)
  const override = overrideIn(plain)
  const language = override.language ?? languageOf(text, input.language)
  const reply = replyIn(plain)
  const sentiment = sentimentOf(plain)
  const open = OPEN.has(dialogue)
  let found: { readonly text: string; readonly match: VenueMatchResult } | null = null

  return venue => {
    // In a settled dialogue a zone's name is never taken for a venue; in an open one a venue's name is never taken for a zone.
    const settled = open ? plain : withoutZones(zonesIn(plain, zonesAt(venue)))
    if (found?.text !== settled) found = { text: settled, match: venuesIn(settled, input, reply, onFile, index) }
    const { match } = found
    const named = match.decision === 'EXACT' || match.decision === 'LIKELY' ? index.venue(match.candidates[0]!.venue) : null
    const place = match.decision === 'EXACT' ? (named ?? venue) : (venue ?? named)
    const within = open && match.span !== null ? `${plain.slice(0, match.span.start)}¤${plain.slice(match.span.end)}` : plain
    const zones = zonesAt(place)
    const { masked, mentions } = zonesIn(within, zones)
    const about = mentions.map(mention => (namesVenue(mention, match) ? { ...mention, words: '' } : mention))
    const read = intentsIn(masked)
    const intents = read.flatMap(intent => withSlots(intent, masked, about, zones, input.zones))
    const meaning = {
      language,
      reply: reply.reply,
      number: reply.number,
      override: override.override,
      matches: match.candidates.map((candidate): VenueMatchInput => ({ ...candidate })),
      match: match.decision,
      runnerUp: match.runnerUp,
      intents,
      sentiment,
      ...personIn(input, plain, override.override === 'NONE' ? reply : null, read),
    }
    return { ...meaning, issue: issueIn(input, meaning, read, intents, about, zones) }
  }
}

function venuesIn(
  text: string,
  input: Understand,
  reply: Reply,
  onFile: readonly VenueProfile[],
  index: VenueIndex,
): VenueMatchResult {
  const { dialogue, candidates } = input
  if (dialogue === 'MULTIPLE_MATCHES' && reply.number === null && reply.reply !== 'NONE_OF_THESE') {
    const chosen = index.choose(text, candidates)
    if (chosen.decision !== 'NONE') return chosen
  }
  return index.match(text, {
    asking: ASKING.has(dialogue),
    strict: !OPEN.has(dialogue),
    near: onFile.map(profile => profile.venue),
  })
}

/** Whether an intent may be about a zone. */
export function takesZone(kind: string): boolean {
  return ZONED.has(groupOfIntent(kind)) || ZONED_INFO.has(kind)
}

/** An intent with its zone, volume and duration; one for each zone where it names several. */
function withSlots(
  { kind, confidence, clause }: IntentRead,
  masked: string,
  mentions: readonly Mention[],
  zones: readonly VenueZone[],
  offered: readonly string[],
): IntentInput[] {
  const group = groupOfIntent(kind)
  const { target, steps } = volumeIn(clause)
  const bare: IntentInput = {
    kind,
    confidence,
    value: VOLUME.has(kind) ? (kind === 'volume_set' ? target : steps) : null,
    durationMs: group === 'control' ? durationIn(clause) : null,
  }
  if (!takesZone(kind)) return [bare]
  // The only zone in a message applies to all of it.
  const where = mentions.length === 1 && !clause.includes('§') ? masked : clause
  const only = kind === 'unknown' ? [] : zones
  return zonesOf(where, mentions, only, offered).map(zone => ({
    ...bare,
    ...zone,
    zoneChoices: [...zone.zoneChoices],
    zoneText: zone.zoneText || null,
  }))
}

/** True for words that are part of a venue's name, not of a zone's. */
function namesVenue({ zones, words }: Mention, { candidates }: VenueMatchResult): boolean {
  return zones.length === 0 && candidates.some(({ name }) => normalise(name).includes(words))
}

/** @param reply null if the message is not an answer */
function personIn(
  { text, dialogue }: Understand,
  plain: string,
  reply: Reply | null,
  read: readonly IntentRead[],
): { person: string | null; position: string | null } {
  const wishes = read.some(({ kind, confidence }) => confidence >= MIN_CONFIDENCE && groupOfIntent(kind) !== 'social')
  const answers = (reply?.reply === 'NONE' || reply?.reply === 'YES') && !wishes
  const introduced = introducedName(text)
  if (dialogue === 'ASKING_PERSON_NAME')
    return { person: answers ? answeredName(text) : introduced, position: knownPosition(plain) }
  if (dialogue === 'ASKING_POSITION')
    return { person: introduced, position: answers ? answeredPosition(text) : knownPosition(plain) }
  return { person: introduced, position: null }
}

/** The issue for the summary: of the first intent that has one, else of the message itself. */
function issueIn(
  input: Understand,
  { language, override, reply, match, person }: Pick<Meaning, 'language' | 'override' | 'reply' | 'match' | 'person'>,
  read: readonly IntentRead[],
  intents: readonly IntentInput[],
  mentions: readonly Mention[],
  zones: readonly VenueZone[],
): string | null {
  if (override !== 'NONE') return null
  for (const { kind, clause } of read) {
    const intent = intents.find(other => other.kind === kind)
    const place = { words: placeOf(intent, mentions, zones), all: intent?.allZones ?? false }
    const issue = issueLabel(kind, clause, place, language as Language)
    if (issue !== null) return issue
  }
  const says = read.every(({ kind }) => kind === 'unknown') && reply === 'NONE' && match === 'NONE' && person === null
  return says && !WITHOUT_ISSUE.has(input.dialogue) && words(normalise(input.text)).length >= MIN_ISSUE_WORDS
    ? condensed(input.text)
    : null
}

/** A zone as people call it: the common word they used, else its name. */
function placeOf(intent: IntentInput | undefined, mentions: readonly Mention[], zones: readonly VenueZone[]): string | null {
  const zone = intent?.zone ?? null
  if (zone === null) return intent?.zoneText ?? null
  const spoken = mentions.find(mention => mention.zones.includes(zone))
  return spoken?.common === true ? spoken.words : (zones.find(other => other.zone === zone)?.name ?? null)
}

function zonesAt(venue: VenueProfile | null): VenueZone[] {
  return venue === null ? [] : venue.zones.map(({ zone, name }) => ({ zone, name }))
}
