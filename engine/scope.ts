import type { TaskInbox } from '../schemas/types.ts'
import type { ActorDefinition } from './actor.ts'
import type { TopicPartition } from '../topics/log.ts'

/**
 * What the ids that a task makes follow from, besides the offsets of its inbox: the identity of its changelog. Ids of a stateless actor
 * must be the same with another changelog: they follow from its name and its source. Once a person has accepted an inbox that repeats
 * offsets, `inbox.scope` makes the ids new ones.
 */
export function scopeOf({ name, stateless }: ActorDefinition, logId: string, inbox: TaskInbox, at: TopicPartition): string {
  const origin = stateless === true ? `${name}/${inbox.identity}` : logId
  return `${origin}${inbox.scope}/${at.topic}/${at.partition}`
}
