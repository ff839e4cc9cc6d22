/** Answers of the broker that are lost, errors, or damaged; partitions without a leader. */
import { setTimeout as sleep } from 'node:timers/promises'
import { alerts } from '../../../topics/catalog.ts'
import type { TopicPartition } from '../../../topics/log.ts'
import type { Random } from '../../simulation/scheduler.ts'
import { trialInbox, trialOutputs } from '../../simulation/trial.ts'
import { PARTITIONS, trialChangelog } from '../actor.ts'
import {
  anyCode,
  brokenOff,
  type Counted,
  cutAnswer,
  cutRecords,
  fetchError,
  flippedBit,
  leaderless,
  NOT_ENOUGH_REPLICAS,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  refusedProduce,
} from '../meddlers.ts'
import type { ApiName } from '../proxy.ts'
import { ALL } from '../standstill.ts'
import type { Fault, Stroke, World } from './fault.ts'

const LOSABLE: readonly ApiName[] = [
  'Produce',
  'AddPartitionsToTxn',
  'AddOffsetsToTxn',
  'TxnOffsetCommit',
  'EndTxn',
  'Fetch',
  'JoinGroup',
  'SyncGroup',
  'Heartbeat',
  'InitProducerId',
  'OffsetFetch',
]
const NONE: ReadonlySet<number> = new Set()
const ALWAYS = Number.POSITIVE_INFINITY
/** What is to be struck once has not come in that time: nobody asks for it. */
const PATIENCE_MS = 4_000

export function logFaults({ proxy }: World): Fault[] {
  const inbox = (random: Random) => ({ topic: trialInbox.name, partition: random.below(PARTITIONS) })
  const changelog = (random: Random) => ({ topic: trialChangelog.name, partition: random.below(PARTITIONS) })
  const anyOf =
    (...of: ((random: Random) => TopicPartition)[]) =>
    (random: Random) =>
      random.pick(of)(random)
  const outputs = (random: Random) => ({ topic: random.pick([trialOutputs, alerts]).name, partition: 0 })
  /** Alerts are read by the sink. */
  const read = anyOf(inbox, inbox, inbox, changelog, () => ({ topic: alerts.name, partition: 0 }))
  const written = anyOf(inbox, changelog, changelog, outputs)

  /** The meddler works a few times, or for a while. */
  const meddle = async (stroke: Stroke, { meddlers, hits }: Counted, times: number, ms: number) => {
    const ends = meddlers.map(m => proxy.meddle(m))
    const until = performance.now() + (times === ALWAYS ? ms : PATIENCE_MS)
    try {
      while (performance.now() < until && hits() < times) await sleep(20)
    } finally {
      for (const end of ends) end()
    }
    stroke.hit(hits())
  }
  const onFetch = (
    kind: string,
    name: string,
    made: (at: TopicPartition, times: number, random: Random) => [Counted, string],
  ): Fault => ({
    kind,
    name,
    inMotion: true,
    strike: async stroke => {
      const { random } = stroke
      const at = read(random)
      const times = random.chance(0.5) ? 1 + random.below(3) : ALWAYS
      const ms = 500 + random.below(4_000)
      const [counted, what] = made(at, times, random)
      stroke.concerns(at.topic === alerts.name ? NONE : new Set([at.partition]))
      stroke.say(`${what} for ${at.topic}/${at.partition}, ${times === ALWAYS ? `${ms} ms` : `${times} times`}`)
      await meddle(stroke, counted, times, ms)
    },
  })
  const onPartition = (name: string, made: (at: TopicPartition, random: Random) => [Counted, string]): Fault => ({
    kind: 'no leader',
    name,
    inMotion: true,
    strike: async stroke => {
      const { random } = stroke
      const at = written(random)
      const ms = 300 + random.below(6_000)
      const [counted, what] = made(at, random)
      // To a topic that all tasks write to, nobody can write.
      stroke.concerns([trialInbox.name, trialChangelog.name].includes(at.topic) ? new Set([at.partition]) : ALL)
      stroke.say(`${what} ${at.topic}/${at.partition}, ${ms} ms`)
      await meddle(stroke, counted, ALWAYS, ms)
    },
  })
  const lose = LOSABLE.map(
    (api): Fault => ({
      kind: 'answer lost',
      name: `answer to ${api} lost`,
      strike: async ({ random }) => {
        for (let n = 1 + random.below(3); n > 0; n--) proxy.lose(api)
        await sleep(300)
      },
    }),
  )
  return [
    ...lose,
    onFetch('fetch error', 'fetch error', (at, times, random) => {
      const code = anyCode(random)
      return [fetchError(at, code, times), `error ${code}`]
    }),
    onFetch('damage', 'flipped bit', (at, times, random) => [flippedBit(at, times, random), 'a bit']),
    onFetch('damage', 'records cut short', (at, times, random) => [cutRecords(at, times, random), 'the end']),
    onFetch('damage', 'answer cut short', (at, times, random) => [cutAnswer(at, times, random), 'the end of all']),
    onFetch('damage', 'connection broken within an answer', (at, times) => [brokenOff(at, times), 'the second half']),
    onPartition('partition without a leader', (at, random) => {
      const told = random.chance(0.5)
      return [leaderless(at, told), told ? 'also by metadata' : 'not by metadata']
    }),
    onPartition('not enough replicas', at => [refusedProduce(at, NOT_ENOUGH_REPLICAS, false), 'for']),
    onPartition('not enough replicas after an append', at => [refusedProduce(at, NOT_ENOUGH_REPLICAS_AFTER_APPEND, true), 'for']),
  ]
}
