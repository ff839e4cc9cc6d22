import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generate } from '../schemas/generate.ts'
import { main } from './command.ts'

await main({
  name: 'npm run schemas --',
  summary: 'Writes schemas/types.ts from the Avro schemas.',
  options: {},
  run: () => {
    writeFileSync(join(import.meta.dirname, '../schemas/types.ts'), generate())
    return 0
  },
})
