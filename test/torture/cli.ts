/** `npm run torture -- [--seed 1] [--faults 200] [--transactions 1|2]`; by default processes go the two ways by turns. */
import { parseArgs } from 'node:util'
import { startStack } from '../stack/stack.ts'
import { torture } from './torture.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    faults: { type: 'string', default: '200' },
    transactions: { type: 'string' },
    quiet: { type: 'boolean' },
  },
})
const { transactions } = values
if (transactions !== undefined && transactions !== '1' && transactions !== '2')
  throw new Error(`--transactions ${transactions}: 1 or 2`)
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
  process.exitCode = violations.length === 0 ? 0 : 1
} finally {
  await stack.stop()
}
