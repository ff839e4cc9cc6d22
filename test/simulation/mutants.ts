/**
 * Runs mutations of the engine in a copy of their own, from the command line: `node test/simulation/mutants.ts [name]` tells which
 * seed finds each.
 */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Mutation, mutations } from './mutations.ts'

const root = join(import.meta.dirname, '../..')
const FOLDERS = ['engine', 'topics', 'schemas', 'test/simulation']
/** A mutation has to be found within so many seeds. */
export const SEEDS = 500

/** Texts of a mutation that its file does not hold exactly once. */
export function stale({ changes }: Mutation): string[] {
  return changes
    .filter(({ file, find }) => readFileSync(join(root, file), 'utf8').split(find).length !== 2)
    .map(({ file, find }) => `${file} does not hold exactly once: ${find}`)
}

/** The first seed that finds it, or null, and what was printed. */
export async function hunt({ changes, first = [] }: Mutation): Promise<{ seed: number | null; output: string }> {
  const copy = mkdtempSync(join(tmpdir(), 'mutated-'))
  try {
    for (const folder of FOLDERS) cpSync(join(root, folder), join(copy, folder), { recursive: true })
    cpSync(join(root, 'package.json'), join(copy, 'package.json'))
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
    for (const { file, find, put } of changes) {
      const text = readFileSync(join(copy, file), 'utf8')
      writeFileSync(
        join(copy, file),
        text.replace(find, () => put),
      )
    }
    const options = ['--seeds', String(SEEDS), '--stop', '--first', first.join(',')]
    const output = await promisify(execFile)(process.execPath, ['test/simulation/cli.ts', ...options], { cwd: copy }).then(
      ({ stdout }) => stdout,
      (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
    )
    const found = /^seed (\d+) fails/m.exec(output)
    return { seed: found === null ? null : Number(found[1]), output }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const wanted = process.argv.slice(2)
  const queue = mutations.filter(({ name }) => wanted.length === 0 || wanted.some(w => name.includes(w))).values()
  const lane = async () => {
    for (const mutation of queue) {
      const wrong = stale(mutation)
      if (wrong.length > 0) console.log(`STALE ${mutation.name}: ${wrong}`)
      else {
        const began = performance.now()
        const { seed, output } = await hunt(mutation)
        const why = /^seed .*\n {2}(.*)/m.exec(output)?.[1] ?? output.slice(-300)
        console.log(`${seed ?? 'NOT FOUND'}\t${((performance.now() - began) / 1000).toFixed(0)} s\t${mutation.name}\t${why}`)
      }
    }
  }
  await Promise.all([lane(), lane()])
}
