/** The load of the workers: a stream of inputs, and an external service for their effects. */
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { RECORD_ID } from '../../engine/headers.ts'
import type { TrialInput } from '../../schemas/types.ts'
import type { Codec } from '../../topics/codec.ts'
import type { KafkaLog } from '../../topics/kafka/log.ts'
import { partitionOf } from '../../topics/murmur2.ts'
import type { Random } from '../simulation/scheduler.ts'
import { trialInbox } from '../simulation/trial.ts'
import { type Done, PARTITIONS } from './actor.ts'

export type Sent = Map<string, { key: string; kind: string; sequence: number }>

/** Some inputs of this partition are written by newer code. */
export interface Newer {
  readonly partition: number
  readonly encode: (input: TrialInput) => Buffer
}

export interface Load {
  /** Set while a newer version of the schema is in use. */
  newer: Newer | null
  /** When set, half of the inputs are for new keys with this prefix. */
  fresh: string | null
  stop(): Promise<Sent>
}

const KEYS = 60
const PAUSE_MS = 40
/** Poison on more keys would stop the task. */
const POISONED_KEYS = 8
const KINDS = ['add', 'add', 'add', 'add', 'once', 'again', 'timer', 'clear', 'poison', 'forget']

/** Appends inputs continuously, each with an id: what was not acknowledged is sent again, and some of the rest, too. */
export function startLoad(log: KafkaLog, codec: Codec, random: Random): Load {
  const sent: Sent = new Map()
  let stopping = false
  const load: Load = {
    newer: null,
    fresh: null,
    stop: async () => {
      stopping = true
      await running
      return sent
    },
  }
  const run = async () => {
    for (let sequence = 0; !stopping; ) {
      const batch = Array.from({ length: 1 + random.below(20) }, () => {
        const kind = random.pick(KINDS)
        const fresh = load.fresh !== null && kind !== 'poison' && random.chance(0.5)
        const key = fresh ? `${load.fresh}-${sequence}` : `key-${random.below(kind === 'poison' ? POISONED_KEYS : KEYS)}`
        const delayMs = kind === 'timer' ? random.below(4_000) : random.chance(0.5) ? 0 : 1_000 + random.below(15_000)
        const id = `i${sequence}`
        sent.set(id, { key, kind, sequence })
        const input = { sequence: sequence++, kind, delayMs, payload: Buffer.alloc(0) }
        const { newer } = load
        const value =
          newer !== null && partitionOf(key, PARTITIONS) === newer.partition && random.chance(0.5)
            ? newer.encode(input)
            : codec.encode(trialInbox.name, 'TrialInput', input)
        return { topic: trialInbox.name, key, value, headers: { [RECORD_ID]: id } }
      })
      for (let copies = random.chance(0.1) ? 2 : 1; copies > 0; ) {
        try {
          await log.append(batch)
          copies--
        } catch {
          await sleep(200)
        }
      }
      await sleep(PAUSE_MS)
    }
  }
  const running = run()
  return load
}

/** The outside: takes its time, and keeps what was done. */
export async function startOutside(random: Random, done: Done[]): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      setTimeout(() => {
        done.push(JSON.parse(Buffer.concat(chunks).toString()) as Done)
        response.end('{}')
      }, random.below(200))
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${port}/`,
    close: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
