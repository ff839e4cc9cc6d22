import { cpus } from 'node:os'
import { benchApi } from '../bench/api.ts'
import { benchConversations, conversationOptions } from '../bench/conversations.ts'
import { benchKeyed } from '../bench/keyed.ts'
import { benchOnKafka } from '../bench/kafka/bench.ts'
import { benchService, serviceOptions } from '../bench/kafka/service.ts'
import { benchClickHouse, benchPostgres, benchRedis, conversationLog, type SinkRate, venueLog } from '../bench/sinks.ts'
import { benchScale, scaleOptions } from '../bench/scale.ts'
import { benchSheet } from '../bench/sheet.ts'
import { benchTurn, WARM_UP } from '../bench/turn.ts'
import { benchVisible } from '../bench/visible.ts'
import { perMessage } from '../bench/written.ts'
import { main, Wrong } from './command.ts'

const BENCHMARKS = ['keyed', 'turn', 'kafka', 'kafka-service', 'sinks', 'visible', 'api', 'sheet', 'scale', 'conversations']
const own = (doc: string) => ({ type: 'string', value: '<number>', doc }) as const
/** Each belongs to the benchmarks that its text names. */
const OPTIONS = {
  venues: own('scale: venues'),
  zones: own('scale: zones'),
  tokens: own('scale: tokens a second'),
  critical: own('scale: critical venues'),
  minutes: own('scale: how long'),
  speed: own('scale: how much faster than the clock'),
  every: own('scale: minutes between two lines'),
  writing: own('scale, conversations: messages a second'),
  people: own('conversations: strangers who write'),
  rates: { type: 'string', value: '<number,…>', doc: 'kafka-service: messages a second' },
  seconds: own('kafka-service: how long each rate lasts'),
  transactions: own("kafka-service: version of Kafka's transactions"),
} as const

await main({
  name: 'npm run bench --',
  summary: 'Each benchmark beside its baseline, in the same run; keyed and turn where none is named.',
  options: OPTIONS,
  words: `[${BENCHMARKS.join(' | ')}] …`,
  check: (_, wanted) => {
    const unknown = wanted.find(name => !BENCHMARKS.includes(name))
    if (unknown !== undefined) throw new Wrong(`there is no benchmark "${unknown}"; there are ${BENCHMARKS.join(', ')}`)
  },
  run: async (values, wanted) => {
    const given = Object.entries(values).filter(([name, value]) => Object.hasOwn(OPTIONS, name) && value !== undefined)
    await run(
      wanted,
      given.flatMap(([name, value]) => [`--${name}`, String(value)]),
    )
    return 0
  },
})

async function run(wanted: readonly string[], options: readonly string[]): Promise<void> {
  const runs = (name: string) => wanted.length === 0 || wanted.includes(name)
  const whole = (n: number) => Math.round(n).toLocaleString('en')
  const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number

  console.log(`${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}\n`)

  if (runs('keyed')) {
    console.log('actor records/s on the local log: 10,000 keys, 200 B, FULL sync, one output and the state per record')
    const results = []
    for (let run = 0; run < 3; run++) {
      const r = await benchKeyed()
      results.push(r)
      console.log(
        `  run ${run + 1}: ${whole(r.recordsPerSecond)} records/s in ${r.transactions} transactions of ${whole(r.recordsPerTransaction)}, ` +
          `${r.cpuSecondsPerMillion.toFixed(1)} CPU s per million; raw SQLite append of the same ${whole(r.written.records)} records ` +
          `(${whole(r.written.bytes / 1e6)} MB) in as many transactions: ${whole(r.rawRecordsPerSecond)} records/s; ratio ${r.ratio.toFixed(2)}`,
      )
    }
    const ratio = median(results.map(r => r.ratio))
    console.log(`  median: ${whole(median(results.map(r => r.recordsPerSecond)))} records/s, ratio ${ratio.toFixed(2)}\n`)
  }

  if (runs('turn')) {
    console.log('turn from webhook to provider call at 100 messages/s, through the running service')
    const { turn, direct, messages, written } = await benchTurn()
    console.log(
      `  service:  p50 ${turn.p50.toFixed(1)} ms, p99 ${turn.p99.toFixed(1)} ms, max ${turn.max.toFixed(1)} ms over ${messages} messages`,
    )
    console.log(
      `  baseline: p50 ${direct.p50.toFixed(1)} ms, p99 ${direct.p99.toFixed(1)} ms (a server that answers the same webhooks by calling the provider at once, keeping nothing)`,
    )
    console.log(`  ratio of p50: ${(turn.p50 / direct.p50).toFixed(1)}`)
    if (written !== null) console.log(`  written a message: ${perMessage(written, messages + WARM_UP)}\n`)
  }

  if (wanted.includes('sheet')) {
    console.log('a sheet of 10,000 rows with every kind of bad cell, from the file to what is passed on')
    const ratios: number[] = []
    for (let run = 0; run < 3; run++) {
      const { rows, taken, refused, cells, told, ms, parsedMs } = await benchSheet()
      ratios.push(ms / parsedMs)
      console.log(
        `  run ${run + 1}: ${ms.toFixed(0)} ms for ${whole(rows)} rows: ${whole(taken)} taken, ${whole(refused)} refused, ${whole(cells)} cells ` +
          `unread, ${whole(told)} told; csv-parse alone ${parsedMs.toFixed(0)} ms; ratio ${(ms / parsedMs).toFixed(1)}`,
      )
    }
    console.log(`  median ratio ${median(ratios).toFixed(1)}\n`)
  }

  if (wanted.includes('kafka')) {
    const kafka = await benchOnKafka()
    try {
      console.log(
        'exactly-once on one real broker: 1,000,000 records, 12 partitions, 10,000 keys, 200 B; worker with 496 B of state in LMDB',
      )
      const rates = new Map<string, number[]>()
      for (let run = 0; run < 3; run++) {
        for (const contestant of ['worker', 'driver', 'kafkajs'] as const) {
          const r = await kafka.keyed(contestant)
          rates.set(contestant, [...(rates.get(contestant) ?? []), r.recordsPerSecond])
          const said = r.said
          const transactions =
            said === null
              ? ''
              : `; ${said.transactions} transactions of ${whole(said.records / said.transactions)}, commit p50 ${said.commit.p50.toFixed(0)} ms, p99 ${said.commit.p99.toFixed(0)} ms`
          console.log(
            `  run ${run + 1}: ${contestant.padEnd(7)} ${whole(r.recordsPerSecond).padStart(8)} records/s, ${r.cpuPerMillion.toFixed(1)} CPU s per million ` +
              `(broker ${r.brokerCpuPerMillion.toFixed(1)})${transactions}`,
          )
        }
      }
      const of = (name: string) => median(rates.get(name) ?? [])
      console.log(
        `  median: worker ${whole(of('worker'))} records/s; ratio to a raw copy on the same driver ${(of('worker') / of('driver')).toFixed(2)}, by plain kafkajs ${(of('worker') / of('kafkajs')).toFixed(2)}\n`,
      )
      const { turn, direct } = await kafka.turn()
      console.log('turn from webhook to provider call at 100 messages/s, the log on Kafka')
      console.log(
        `  service:  p50 ${turn.p50.toFixed(1)} ms, p99 ${turn.p99.toFixed(1)} ms; baseline: p50 ${direct.p50.toFixed(1)} ms, p99 ${direct.p99.toFixed(1)} ms\n`,
      )
      console.log('1,000,000 keys of 300 B, from the start of the process until every partition has answered')
      for (let run = 0; run < 3; run++) {
        const { cold, killedIdle, killedUnderLoad } = await kafka.restores()
        console.log(
          `  run ${run + 1}: cold ${cold.toFixed(1)} s; after kill -9, idle ${killedIdle.toFixed(2)} s, under load ${killedUnderLoad.toFixed(1)} s`,
        )
      }
    } finally {
      await kafka.close()
    }
  }

  if (wanted.includes('sinks')) {
    console.log('rows/s by the sinks from a log in memory, each beside the store alone')
    const conversations = await conversationLog(60_000)
    const venues = await venueLog(60_000)
    const stores: [string, () => Promise<SinkRate>][] = [
      ['Postgres (COPY)', () => benchPostgres(conversations)],
      ['ClickHouse (client insert)', () => benchClickHouse(conversations)],
      ['Redis (pipeline)', () => benchRedis(venues)],
    ]
    for (const [name, measure] of stores) {
      const rates: SinkRate[] = []
      for (let run = 0; run < 3; run++) rates.push(await measure())
      const ratios = rates.map(r => r.rowsPerSecond / r.baselinePerSecond)
      console.log(
        `  ${name.padEnd(27)} ${rates.map(r => whole(r.rowsPerSecond)).join(', ')} rows/s of ${whole(rates[0]?.rows as number)}, ` +
          `alone ${rates.map(r => whole(r.baselinePerSecond)).join(', ')}; ratio ${median(ratios).toFixed(2)} (${ratios.map(r => r.toFixed(2)).join(', ')})`,
      )
    }
  }

  if (wanted.includes('sinks') || wanted.includes('visible')) {
    console.log('from a webhook to visible, at 100 messages/s')
    for (const { store, p50, p99 } of await benchVisible())
      console.log(`  ${store.padEnd(12)} p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`)
  }

  if (wanted.includes('api')) {
    console.log('API at 1,000 connections, as admin, the server in a process of its own')
    const results = await benchApi()
    const empty = results[0]?.load.requestsPerSecond as number
    for (const { name, load } of results) {
      console.log(
        `  ${name.padEnd(28)} ${whole(load.requestsPerSecond).padStart(7)} requests/s, ratio ${(load.requestsPerSecond / empty).toFixed(2)}; ` +
          `p50 ${load.p50.toFixed(0)} ms, p95 ${load.p95.toFixed(0)} ms${load.failed > 0 ? `; ${load.failed} failed` : ''}`,
      )
    }
  }

  if (wanted.includes('scale')) await benchScale(scaleOptions(options), console.log)

  if (wanted.includes('kafka-service')) await benchService(serviceOptions(options), console.log)
  if (wanted.includes('conversations')) await benchConversations(conversationOptions(options), console.log)
}
