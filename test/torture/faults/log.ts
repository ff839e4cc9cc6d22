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
  type CountedInterceptors,
  cutAnswer,
  cutRecords,
  fetchError,
  flippedBit,
  leaderless,
  NOT_ENOUGH_REPLICAS,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  refusedProduce,
} from '../interceptors.ts'
import type { ApiName } from '../proxy.ts'
import { ALL } from '../stalls.ts'
import type { Fault, Injection, World } from './fault.ts'

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
/** A request that has not come within this time is not going to come. */
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

  /** The interceptor works a few times, or for a while. */
  const intercept = async (injection: Injection, { interceptors, hits }: CountedInterceptors, times: number, ms: number) => {
    const ends = interceptors.map(m => proxy.intercept(m))
    const until = performance.now() + (times === ALWAYS ? ms : PATIENCE_MS)
    try {
      while (performance.now() < until && hits() < times) await sleep(20)
    } finally {
      for (const end of ends) end()
    }
    injection.hit(hits())
  }
  const onFetch = (
    kind: string,
    name: string,
    made: (at: TopicPartition, times: number, random: Random) => [CountedInterceptors, string],
  ): Fault => ({
    kind,
    name,
    needsProgress: true,
    inject: async injection => {
      const { random } = injection
      const at = read(random)
      const times = random.chance(0.5) ? 1 + random.below(3) : ALWAYS
      const ms = 500 + random.below(4_000)
      const [counted, what] = made(at, times, random)
      injection.affects(at.topic === alerts.name ? NONE : new Set([at.partition]))
      injection.say(`${what} for ${at.topic}/${at.partition}, ${times === ALWAYS ? `${ms} ms` : `${times} times`}`)
      await intercept(injection, counted, times, ms)
    },
  })
  const onPartition = (name: string, made: (at: TopicPartition, random: Random) => [CountedInterceptors, string]): Fault => ({
    kind: 'no leader',
    name,
    needsProgress: true,
    inject: async injection => {
      const { random } = injection
      const at = written(random)
      const ms = 300 + random.below(6_000)
      const [counted, what] = made(at, random)
      // To a topic that all tasks write to, nobody can write.
      injection.affects([trialInbox.name, trialChangelog.name].includes(at.topic) ? new Set([at.partition]) : ALL)
      injection.say(`${what} ${at.topic}/${at.partition}, ${ms} ms`)
      await intercept(injection, counted, ALWAYS, ms)
    },
  })
  const lose = LOSABLE.map(
    (api): Fault => ({
      kind: 'answer lost',
      name: `answer to ${api} lost`,
      inject: async ({ random }) => {
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
