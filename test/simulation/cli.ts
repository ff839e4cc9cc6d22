/** `npm run sim -- --seeds 1000 [--from 0] [--stop]` runs seeds, with `--stop` to the first that fails; `--seed 17` replays one. */
import { parseArgs } from 'node:util'
import { simulate } from './world.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string' },
    stop: { type: 'boolean' },
  },
})
const from = Number(values.seed ?? values.from)
const count = values.seed === undefined ? Number(values.seeds) : 1
const began = performance.now()
const faults: Record<string, number> = {}
let failed = 0
let steps = 0
for (let seed = from; seed < from + count; seed++) {
  const outcome = await simulate(seed)
  steps += outcome.steps
  for (const [name, times] of Object.entries(outcome.faults)) faults[name] = (faults[name] ?? 0) + times
  if (outcome.violations.length === 0) continue
  failed += 1
  console.log(`seed ${seed} fails; replay it with: npm run sim -- --seed ${seed}`)
  for (const violation of outcome.violations.slice(0, 20)) console.log(`  ${violation}`)
  if (values.stop) break
}
const seconds = (performance.now() - began) / 1000
console.log(
  `${count - failed} of ${count} seeds pass, ${steps} steps in ${seconds.toFixed(1)} s; faults: ${JSON.stringify(faults)}`,
)
process.exit(failed === 0 ? 0 : 1)
