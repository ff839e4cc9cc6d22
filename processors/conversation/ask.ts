/**
 * The questions of identification, and the choices that answer them.
 */
import type { Candidate, OnFile, ReplyButtonInput, Understood, VenueMatch } from '../../schemas/types.ts'
import type { Dialogue } from './context.ts'
import type { Turn } from './turn.ts'
import type { PhraseKey } from './words.ts'

const MAX_CANDIDATES = 5

/** Asks whether this is the venue. */
export function offer(turn: Turn, candidate: Candidate, runnerUp: number | null): Turn {
  return ask(turn.set({ candidates: [candidate], runnerUp }).moveTo('CONFIRMING_VENUE'))
}

/** Asks which of these is the venue. */
export function choose(turn: Turn, candidates: readonly Candidate[], key: PhraseKey): Turn {
  const [best, second] = candidates
  if (best !== undefined && second === undefined) return offer(turn, best, null)
  turn.set({ candidates: candidates.slice(0, MAX_CANDIDATES), runnerUp: second?.score ?? null })
  return sayCandidates(turn.moveTo('MULTIPLE_MATCHES'), key)
}

/** Repeats the question of the current state. */
export function ask(turn: Turn): Turn {
  const { state, candidates, venueName } = turn.state
  const [candidate] = candidates
  const venue = venueName ?? ''
  switch (state as Dialogue) {
    case 'INITIAL':
      return turn.moveTo('ASKING_VENUE_NAME').say('greeting.ask_venue')
    case 'ASKING_VENUE_NAME':
      return turn.say('venue.ask')
    case 'CONFIRMING_VENUE': {
      const { name, location } = candidate ?? { name: venue, location: '' }
      if (location === '') return turn.say('venue.confirm_nowhere', { venue: name }, yesNo(turn))
      return turn.say('venue.confirm', { venue: name, location }, yesNo(turn))
    }
    case 'MULTIPLE_MATCHES':
      return sayCandidates(turn, 'venue.choose_again')
    case 'ASKING_PERSON_NAME':
      return turn.say('name.again', {}, ownName(turn))
    case 'ASKING_POSITION':
      return turn.say('position.again', { venue })
    default:
      return turn
  }
}

function sayCandidates(turn: Turn, key: PhraseKey): Turn {
  const { candidates } = turn.state
  const list = candidates.map((c, n) => `${n + 1}. ${c.location === '' ? c.name : `${c.name}, ${c.location}`}`).join('\n')
  const rows = candidates.map(c => ({ id: `venue:${c.venue}`, title: c.name, description: c.location || null }))
  return turn.say(key, { list }, [...rows, { id: 'venue:none', title: turn.phrase('list.none') }])
}

export function yesNo(turn: Turn): ReplyButtonInput[] {
  return [
    { id: 'confirm:yes', title: turn.phrase('button.yes') },
    { id: 'confirm:no', title: turn.phrase('button.no') },
  ]
}

/** Offers the sender's profile name, so that it need not be typed. */
export function ownName(turn: Turn): ReplyButtonInput[] {
  const name = turn.sender(turn.state.user)?.name?.trim()
  return name ? [{ id: 'name:own', title: name }] : []
}

export function fromMatch({ venue, name, location, score }: VenueMatch): Candidate {
  return { venue, name, location, score, contact: null, position: null }
}

export function fromFile({ venue, name, location, contact, position }: OnFile): Candidate {
  return { venue, name, location, score: 1, contact: contact || null, position }
}

/** The venue that a message clearly names. */
export function venueIn({ match, matches }: Understood): VenueMatch | null {
  return match === 'EXACT' || match === 'LIKELY' ? (matches[0] ?? null) : null
}

/** The venue that a message clearly names, if it is not the one identified. */
export function otherVenueIn(turn: Turn, understood: Understood): VenueMatch | null {
  const named = venueIn(understood)
  return named === null || named.venue === turn.state.venue ? null : named
}
