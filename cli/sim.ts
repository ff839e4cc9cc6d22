import { faults as kinds, simulate } from '../test/simulation/world.ts'
import { main, type Values } from './command.ts'

const OPTIONS = {
  seeds: { type: 'string', default: '100', value: '<number>', doc: 'how many seeds to run' },
  from: { type: 'string', default: '0', value: '<seed>', doc: 'the first of them' },
  seed: { type: 'string', value: '<seed>', doc: 'replays this one' },
  first: { type: 'string', default: '', value: '<seed,…>', doc: 'runs these before the others' },
  stop: { type: 'boolean', doc: 'ends at the first that fails' },
  verbose: { type: 'boolean', doc: 'tells what happens' },
  only: { type: 'string', value: '<pattern>', doc: 'only faults whose names match' },
} as const

await main({ name: 'npm run sim --', summary: 'The simulator of the engine.', options: OPTIONS, run })

async function run(values: Values<typeof OPTIONS>): Promise<number> {
  const from = Number(values.seed ?? values.from)
  const count = values.seed === undefined ? Number(values.seeds) : 1
  const only = values.only === undefined ? undefined : new RegExp(values.only)
  const began = performance.now()
  const seeds: Record<string, number> = {}
  const busiest = { restores: 0, transactions: 0, errors: 0 }
  let failed = 0
  let ran = 0
  let steps = 0
  const first = values.first === '' ? [] : values.first.split(',').map(Number)
  for (const seed of [...first, ...Array.from({ length: count }, (_, i) => from + i)]) {
    const outcome = await simulate(seed, { verbose: values.verbose ?? false, only })
    ran += 1
    steps += outcome.steps
    for (const name of Object.keys(outcome.faults)) seeds[name] = (seeds[name] ?? 0) + 1
    for (const what of ['restores', 'transactions', 'errors'] as const)
      busiest[what] = Math.max(busiest[what], outcome.busiest[what])
    if (outcome.violations.length === 0) continue
    failed += 1
    console.log(`seed ${seed} fails; replay it with: npm run sim -- --seed ${seed}`)
    for (const violation of outcome.violations.slice(0, 20)) console.log(`  ${violation}`)
    if (values.stop) break
  }
  const seconds = (performance.now() - began) / 1000
  for (const name of new Set([...kinds.map(k => k.name), ...Object.keys(seeds)]))
    console.log(`${String(seeds[name] ?? 0).padStart(6)} seeds with: ${name}`)
  console.log(`busiest in 30 s: ${JSON.stringify(busiest)}`)
  console.log(`${ran - failed} of ${ran} seeds pass, ${steps} steps in ${seconds.toFixed(1)} s`)
  return failed === 0 ? 0 : 1
}
