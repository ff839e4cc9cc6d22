import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ConfigError } from '../config.ts'
import { loadOrCreateSecret } from './secrets.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'open-'))
  file = join(folder, 'session.key')
})
afterEach(() => rmSync(folder, { recursive: true }))

test('a secret is made once, whole, and for its owner alone', () => {
  const made = loadOrCreateSecret(file, 32)
  expect(made).toHaveLength(43)
  expect(loadOrCreateSecret(file, 32)).toBe(made)
  expect(readFileSync(file, 'utf8')).toBe(`${made}\n`)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readdirSync(folder)).toEqual(['session.key'])
})

test.each(['', 'k', 'k'.repeat(64)])('"%s" in its file keeps the service from starting, and the file is named', weak => {
  writeFileSync(file, weak)
  expect(() => loadOrCreateSecret(file, 32)).toThrow(ConfigError)
  expect(() => loadOrCreateSecret(file, 32)).toThrow(file)
  expect(readFileSync(file, 'utf8')).toBe(weak)
})

test('a weak one stays where somebody says so, but for an empty one', () => {
  writeFileSync(file, 'old')
  expect(loadOrCreateSecret(file, 24, true)).toBe('old')
  writeFileSync(file, '\n')
  expect(() => loadOrCreateSecret(file, 24, true)).toThrow(ConfigError)
})
