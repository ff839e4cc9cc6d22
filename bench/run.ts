/** `npm run bench [-- keyed|turn]`: each benchmark with its baseline in the same run. */
import { cpus } from 'node:os'
import { benchKeyed } from './keyed.ts'
import { benchTurn } from './turn.ts'

const wanted = process.argv.slice(2)
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
  const { turn, direct, messages } = await benchTurn()
  console.log(
    `  service:  p50 ${turn.p50.toFixed(1)} ms, p99 ${turn.p99.toFixed(1)} ms, max ${turn.max.toFixed(1)} ms over ${messages} messages`,
  )
  console.log(
    `  baseline: p50 ${direct.p50.toFixed(1)} ms, p99 ${direct.p99.toFixed(1)} ms (a server that answers the same webhooks by calling the provider at once, keeping nothing)`,
  )
  console.log(`  ratio of p50: ${(turn.p50 / direct.p50).toFixed(1)}`)
}
