/**
 * Responds to a message that has been understood: overrides come first, then identification, then the request.
 */
import type { QueuedMessage, Understood } from '../../schemas/types.ts'
import { reference } from '../../domain/ids.ts'
import { ask } from './ask.ts'
import { correctVenue, identify, restart, welcomeBack } from './dialogue.ts'
import { route } from './handover.ts'
import { isCritical, wanted } from './intents.ts'
import { serve } from './support.ts'
import type { Turn } from './turn.ts'

/** Says whatever answers the message, and hands over or sends requests as needed. */
export function respond(turn: Turn, understood: Understood, message: QueuedMessage): Turn {
  const asked = wanted(understood, turn.settings.minConfidence)
  for (const intent of asked.length > 0 ? asked : understood.intents.slice(0, 1)) {
    if (!message.again)
      turn.event('INTENT', { message: reference(message.message), detail: intent.kind, score: intent.confidence })
  }
  const known = turn.state.state === 'IDENTIFIED' || turn.state.state === 'ASKING_ISSUE'
  if (message.again) return serve(turn, understood, message)
  if (handleOverride(turn, understood, message)) return turn
  const away = turn.state.returning
  if (isCritical(understood, asked) && (!known || away)) {
    turn.handOver(
      route(
        asked.map(i => i.kind),
        message.text,
        understood.sentiment === 'URGENT',
      ),
    )
  } else if (!known && turn.waitsForHuman && turn.state.pending?.urgent !== true) return turn
  if (!known) return identify(turn, understood, message)
  if (welcomeBack(turn, understood, message) || correctVenue(turn, understood, message)) return turn
  return serve(turn, understood, message)
}

/** Handles words that work in every state. @returns whether there were any */
function handleOverride(turn: Turn, understood: Understood, message: QueuedMessage): boolean {
  switch (understood.override) {
    case 'RESTART':
      restart(turn, understood)
      return true
    case 'HUMAN': {
      const asked = wanted(understood, turn.settings.minConfidence).map(i => i.kind)
      turn.handOver(route(asked.length > 0 ? asked : ['human'], message.text, understood.sentiment === 'URGENT'))
      return true
    }
    case 'STOP':
      turn.set({ question: null, pending: null })
      if (!turn.waitsForHuman) turn.say('stop')
      return true
    case 'LANGUAGE':
      if (turn.waitsForHuman) return true
      turn.say('language')
      ask(turn)
      return true
    default:
      return false
  }
}
