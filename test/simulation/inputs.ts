/** Inputs: each once or more, some late, with ids, so that a repeated one is known; a few of newer code, some that nobody can read. */
import { MAX_RECORD_BYTES } from '../../topics/log.ts'
import { payloadBytes } from '../../topics/records.ts'
import { codec, newerForm } from './codes.ts'
import { trialInbox } from './trial.ts'
import type { World } from './world.ts'

export const KEYS = ['a', 'b', 'c', 'd', 'e']
const INPUTS = 40
const KINDS = ['add', 'add', 'once', 'once', 'once', 'again', 'again', 'timer', 'timer', 'timer', 'clear', 'poison', 'forget']
const MORE = ['tell-add', 'tell-once', 'tell-poison', 'bulk']
const RETRY = 1_000

export function sendInputs(world: World): void {
  const { random } = world.scheduler
  const large = random.chance(0.1)
  const more = random.chance(0.4)
  for (let sequence = 0; sequence < INPUTS; sequence++) {
    const key = random.pick(KEYS)
    const kind = large && random.chance(0.1) ? 'big' : more && random.chance(0.3) ? random.pick(MORE) : random.pick(KINDS)
    const id = `i${sequence}`
    const headers: Record<string, string> = { id }
    if (large && random.chance(0.02)) headers.trace = 'x'.repeat(random.below(1_000))
    let payload = Buffer.alloc(0)
    // One that only just fits, so that whatever is made of it does not.
    if (large && random.chance(0.06)) {
      world.fault('an input near the limit')
      payload = Buffer.alloc(MAX_RECORD_BYTES - 200 + random.below(200))
    }
    if (kind === 'big') world.fault('an output near the limit')
    const input = { sequence, kind, delayMs: delayOf(world, kind), payload }
    const value = codec.encode(trialInbox.name, 'TrialInput', input)
    if (payloadBytes({ key, value, headers }) > MAX_RECORD_BYTES) continue // its sender is told
    world.sent.set(id, { key, kind, sequence })
    const first = random.below(world.settings.faultyMs)
    for (let copies = random.chance(0.3) ? 3 : 1; copies > 0; copies--)
      send(world, first + random.below(copies * 2_000), key, value, headers)
  }
}

function delayOf({ scheduler: { random } }: World, kind: string): number {
  if (kind === 'timer') return random.below(8_000)
  if (kind === 'big') return MAX_RECORD_BYTES - 200 + random.below(220)
  if (kind === 'bulk') return random.chance(0.1) ? MAX_RECORD_BYTES - 200 + random.below(220) : 4 + random.below(100)
  return random.chance(0.5) ? 0 : 1 + random.below(15_000)
}

/** Its sender tries until the log takes it. */
export function send(world: World, delay: number, key: string, value: Buffer, headers: Record<string, string>): void {
  const { scheduler, cluster } = world
  scheduler.at(delay, null, () => {
    const at = cluster.where({ topic: trialInbox.name, key, value })
    // Nor is anything sent to one that was rolled back before somebody has seen to it: once it has grown, nobody can tell.
    const behind = at.end < (cluster.committed(at.at) ?? 0)
    if (at.leaderless || behind) return send(world, RETRY, key, value, headers)
    const written = world.newerInputs ? (newerForm(value) as Buffer) : value
    cluster.write({
      topic: trialInbox.name,
      key,
      value: payloadBytes({ key, value: written, headers }) > MAX_RECORD_BYTES ? value : written,
      headers,
    })
  })
}
