import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { expect, it } from 'vitest'

const require = createRequire(import.meta.url)
const root = dirname(require.resolve('kafkajs/package.json'))

/** Folders and files of kafkajs that the driver reaches into, or whose behaviour it relies on. */
const RELIED_ON = [
  'src/index.js',
  'src/broker',
  'src/cluster',
  'src/network',
  'src/retry',
  'src/consumer/assignerProtocol.js',
  'src/protocol/error.js',
  'src/protocol/request.js',
  'src/protocol/encoder.js',
  'src/protocol/decoder.js',
  'src/protocol/requests',
]

function filesIn(path: string): string[] {
  if (path.endsWith('.js')) return [path]
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter(f => f.isFile() && f.name.endsWith('.js') && !f.name.includes('.test.') && !f.name.includes('.spec.'))
    .map(f => join(f.parentPath, f.name))
    .sort()
}

it('kafkajs is the one that the corrections were made for: look through hardening.ts before this is changed', () => {
  const digest = createHash('sha256')
  for (const file of RELIED_ON.flatMap(path => filesIn(join(root, path)))) {
    digest.update(relative(root, file)).update(readFileSync(file))
  }
  expect(require('kafkajs/package.json').version).toBe('2.2.4')
  expect(digest.digest('hex')).toBe('3690f14f8f001a8931f2855c0dc42324a95dc87c7fb1ef68d47709280b864888')
})
