/**
 * New code over old state: what a ledger or a timer still names, and this code does not have. What it lists as retired the engine ends;
 * anything else may belong to newer code, during a rolling deploy, and must not be lost.
 */
import type { ActorDefinition } from './actor.ts'
import { Fatal } from './errors.ts'

type Kind = 'effect' | 'timer'

/** The kind of a timer is what comes before the colon in its name. */
export function timerName(name: string): { kind: string; argument: string } {
  const colon = name.indexOf(':')
  return colon < 0 ? { kind: name, argument: '' } : { kind: name.slice(0, colon), argument: name.slice(colon + 1) }
}

export function standing(definition: ActorDefinition, kind: Kind, name: string): 'declared' | 'retired' | 'unknown' {
  const { effects = {}, timers = {}, retired = {} } = definition
  if (Object.hasOwn(kind === 'effect' ? effects : timers, name)) return 'declared'
  const listed: readonly string[] = (kind === 'effect' ? retired.effects : retired.timers) ?? []
  return listed.includes(name) ? 'retired' : 'unknown'
}

/** Why the task of an actor stops that holds what this code does not know. */
export function unknown(definition: ActorDefinition, kind: Kind, name: string): Fatal {
  const what = `actor "${definition.name}" has no ${kind} "${name}", which its state still holds`
  return new Fatal(`no_${kind}`, `${what}: deploy code that has it, or list it under retired.${kind}s to end what is left of it`)
}
