import { keepVersions } from '../schemas/testing/golden.ts'
import { main } from './command.ts'

await main({
  name: 'npm run golden --',
  summary: 'Keeps a golden version of every schema that has changed. Old ones are never rewritten.',
  options: {},
  run: () => {
    for (const line of keepVersions()) console.log(line)
    return 0
  },
})
