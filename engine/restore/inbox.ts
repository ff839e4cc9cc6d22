/** Whether the inbox is still the one that the state was made from, and where it is read from. */
import type { TaskInbox } from '../../schemas/types.ts'
import { partitionKey } from '../../topics/log.ts'
import { Fatal } from '../errors.ts'
import { endsOf, type Recovered, type RestoreOptions } from './options.ts'

/**
 * The inbox that the state is made from.
 * @throws {Fatal} `partitions`, `inbox` if the present one is another, unless a person has decided to accept it
 */
export async function inboxOf(options: RestoreOptions, recovered: Recovered): Promise<TaskInbox> {
  const { log, task, committed, newId } = options
  const { inbox: before, accepted, position } = recovered
  const { topic } = task.inbox
  const [identity, ends] = await Promise.all([log.topicId(topic), log.ends(topic)])
  const present = { identity, partitions: ends.length, scope: before?.scope ?? '' }
  if (before === null) return present
  if (accepted !== null) {
    // Offsets that were handled before come again with other records: ids derived from them must differ.
    const again = accepted < (committed?.offset ?? position ?? 0)
    return before.identity === identity && !again ? present : { ...present, scope: `/${identity}.${newId()}` }
  }
  // Accepting the one also accepts the other, so the message must name both.
  const moved = movedOffset(options, recovered)
  const besides = moved === null ? '' : `. Besides, ${moved}`
  if (before.partitions !== ends.length) {
    throw new Fatal(
      'partitions',
      `${topic} had ${before.partitions} partitions when the state of ${partitionKey(task.inbox)} was made, and now has ${ends.length}: ` +
        'keys have moved to partitions that do not have their state. Go back to a topic with the former number, or decide to accept: ' +
        `keys that have moved then start without a state${besides}`,
    )
  }
  if (before.identity !== identity) {
    throw new Fatal(
      'inbox',
      `${topic} was deleted and recreated since the state of ${partitionKey(task.inbox)} was made (${before.identity}, now ${identity}): ` +
        `offsets of the old topic mean nothing in the new one. Restore the old topic, or decide to accept from an offset of the new one${besides}`,
    )
  }
  return before
}

/** How the committed offset differs from the state in the changelog; null if it does not. One transaction has written both. */
function movedOffset({ task, committed }: RestoreOptions, { logId, position }: Recovered): string | null {
  // The identity of a changelog and its first position are written by one transaction.
  const made = logId !== null || position !== null
  if (committed === undefined || !made || committed.offset === position) return null
  return (
    `${partitionKey(task.inbox)}: the group's committed offset is ${committed.offset}, but the state in ${partitionKey(task.changelog)} ` +
    `is that of ${position ?? 'none'}: the offset was moved, or the end of the changelog is lost`
  )
}

/**
 * Where the inbox is read from: the offset that a person decided; else the committed offset; else the one in the changelog; else the
 * beginning.
 * @throws {Fatal} `moved`, `gap`, `beyond`
 */
export async function startingPosition(options: RestoreOptions, recovered: Recovered): Promise<number> {
  const { log, task, committed } = options
  const { position, accepted } = recovered
  const where = partitionKey(task.inbox)
  const { low, high } = await endsOf(log, task.inbox)
  const known = accepted ?? committed?.offset ?? position
  if (known === null) return low
  const moved = accepted === null ? movedOffset(options, recovered) : null
  if (moved !== null) throw new Fatal('moved', `${moved}. Reset the offset, or decide to accept from an offset`)
  if (known < low) {
    throw new Fatal(
      'gap',
      `${where}: next record to handle is ${known}, but the log begins at ${low}: ${low - known} are gone. ` +
        `Restore them, or decide to accept from ${low} on`,
    )
  }
  if (known > high) {
    throw new Fatal(
      'beyond',
      `${where}: next record to handle is ${known}, but the log ends at ${high}: the topic was recreated or rolled back. ` +
        'Restore its records, or decide to accept from an offset in it',
    )
  }
  return known
}
