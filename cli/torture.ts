import { startStack } from '../test/stack/stack.ts'
import { torture } from '../test/torture/torture.ts'
import { main, Wrong } from './command.ts'

const OPTIONS = {
  seed: { type: 'string', default: '1', value: '<number>', doc: 'of the faults' },
  faults: { type: 'string', default: '200', value: '<number>', doc: 'how many' },
  transactions: { type: 'string', value: '<1|2>', doc: "version of Kafka's transactions; both by turns without it" },
  quiet: { type: 'boolean', doc: 'prints the result alone' },
} as const

await main({
  name: 'npm run torture --',
  summary: 'Worker processes on a real broker under kills, power failures, lost answers and rebalances.',
  options: OPTIONS,
  check: ({ transactions }) => {
    if (![undefined, '1', '2'].includes(transactions)) throw new Wrong(`--transactions is "${transactions}"; it must be 1 or 2`)
  },
  run,
})

async function run(values: { seed: string; faults: string; transactions: string | undefined; quiet: boolean }): Promise<number> {
  const { transactions } = values
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  const stack = await startStack({ only: ['postgres', 'registry'] })
  try {
    const result = await torture({
      seed: Number(values.seed),
      faults: Number(values.faults),
      databaseUrl: stack.env.DATABASE_URL as string,
      registryUrl: stack.env.SCHEMA_REGISTRY_URL as string,
      transactions: transactions === undefined ? 'by turns' : transactions === '1' ? 1 : 2,
      ...(values.quiet ? {} : { say: line => console.log(line) }),
    })
    const { violations, faults, stalls, ...rest } = result
    for (const [name, { times, effective }] of Object.entries(faults).sort())
      console.log(`${String(times).padStart(5)} × ${name}${effective === times ? '' : ` (${effective} of them had an effect)`}`)
    console.log('Longest stall of a partition that the fault does not affect:')
    for (const [kind, ms] of Object.entries(stalls).sort()) console.log(`${String(ms).padStart(7)} ms under ${kind}`)
    console.log(JSON.stringify(rest))
    for (const violation of violations) console.error(violation)
    console.log(violations.length === 0 ? 'nothing lost, nothing doubled' : `${violations.length} violations`)
    return violations.length === 0 ? 0 : 1
  } finally {
    await stack.stop()
  }
}
