import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mutations } from './mutations.ts'
import { simulate } from './world.ts'

const root = join(import.meta.dirname, '../..')

describe('the simulated world', () => {
  it('keeps its promises over 48 seeds', async () => {
    for (let seed = 0; seed < 48; seed++) {
      const { violations } = await simulate(seed)
      expect(violations, `seed ${seed}; replay it with: npm run sim -- --seed ${seed}`).toEqual([])
    }
  })

  it('replays: the same seed takes the same steps', async () => {
    const [first, second] = [await simulate(7), await simulate(7)]
    expect(second).toEqual(first)
    expect(first.steps).toBeGreaterThan(1_000)
  })
})

describe('a mutation of the engine is found within 500 seeds:', () => {
  let copy = ''
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'mutated-'))
    for (const folder of ['engine', 'topics', 'schemas', 'test/simulation'])
      cpSync(join(root, folder), join(copy, folder), { recursive: true })
    cpSync(join(root, 'package.json'), join(copy, 'package.json'))
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  })
  afterAll(() => rmSync(copy, { recursive: true, force: true }))

  const run = () =>
    promisify(execFile)(process.execPath, ['test/simulation/cli.ts', '--seeds', '500', '--stop'], { cwd: copy }).then(
      ({ stdout }) => ({ found: false, stdout }),
      (error: { stdout: string; stderr: string }) => ({
        found: error.stdout.includes('fails; replay'),
        stdout: error.stdout + error.stderr,
      }),
    )

  it.each(mutations)('$name', { timeout: 120_000 }, async ({ changes }) => {
    const originals = new Map<string, string>()
    for (const { file, find, put } of changes) {
      const text = readFileSync(join(copy, file), 'utf8')
      if (!originals.has(file)) originals.set(file, text)
      expect(text.split(find).length - 1, `times that ${file} holds: ${find}`).toBe(1)
      writeFileSync(
        join(copy, file),
        text.replace(find, () => put),
      )
    }
    try {
      const { found, stdout } = await run()
      expect(found, stdout).toBe(true)
    } finally {
      for (const [file, text] of originals) writeFileSync(join(copy, file), text)
    }
  })
})
