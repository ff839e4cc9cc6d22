import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Folders whose code decides what is written to the log. */
const CODE = ['engine', 'processors', 'connectors', 'domain', 'schemas', 'topics']

/** Identifies the code that decides: it changes when any of its files does. Tests and what only they use do not count. */
export function codeVersion(): string {
  const digest = createHash('sha256')
  for (const folder of CODE) {
    const files = readdirSync(join(import.meta.dirname, '..', folder), { recursive: true, withFileTypes: true })
    const named = files
      .filter(f => f.isFile() && !f.name.endsWith('.test.ts') && !/[\\/]testing$/.test(f.parentPath))
      .map(f => join(f.parentPath, f.name))
    for (const file of named.sort()) digest.update(readFileSync(file))
  }
  return digest.digest('hex').slice(0, 12)
}
