/**
 * Runs mutations of the engine in a copy of their own, from the command line: `node test/simulation/mutants.ts [name]` tells which
 * seed, or which unit test, finds each.
 */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify, stripVTControlCharacters } from 'node:util'
import { type Mutation, mutations, unfound } from './mutations.ts'

const root = join(import.meta.dirname, '../..')
const COPIED = ['schemas', 'domain', 'topics', 'engine', 'cli', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts']
/** A mutation must be found within so many seeds. */
export const SEEDS = 500

/** Texts of a mutation that its file does not hold exactly once. */
export function stale({ changes }: Mutation): string[] {
  return changes
    .filter(({ file, find }) => readFileSync(join(root, file), 'utf8').split(find).length !== 2)
    .map(({ file, find }) => `${file} does not hold exactly once: ${find}`)
}

/**
 * What finds it: the first seed that does, or its unit test; null where nothing has. And what was printed.
 * @throws if the run did not come to its summary: a run that crashed has looked for nothing
 */
export async function hunt({ changes, first = [], unit }: Mutation): Promise<{ by: string | null; output: string }> {
  const copy = mkdtempSync(join(tmpdir(), 'mutated-'))
  try {
    for (const name of COPIED) cpSync(join(root, name), join(copy, name), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
    for (const { file, find, put } of changes) {
      const text = readFileSync(join(copy, file), 'utf8')
      writeFileSync(
        join(copy, file),
        text.replace(find, () => put),
      )
    }
    const run = async (summary: RegExp, ...args: string[]) => {
      const output = await promisify(execFile)(process.execPath, args, { cwd: copy }).then(
        ({ stdout }) => stdout,
        (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
      )
      const text = stripVTControlCharacters(output)
      if (!summary.test(text)) throw new Error(`${args.join(' ')} crashed:\n${text}`)
      return text
    }
    if (unit !== undefined) {
      const output = await run(
        /^ *Tests .*\d+ (failed|passed)/m,
        'node_modules/vitest/vitest.mjs',
        'run',
        '--project',
        'all',
        unit,
      )
      return { by: /^ *Tests .*\d+ failed/m.test(output) ? unit : null, output }
    }
    const output = await run(
      /^\d+ of \d+ seeds pass/m,
      'cli/sim.ts',
      '--seeds',
      String(SEEDS),
      '--stop',
      '--first',
      first.join(','),
    )
    const found = /^seed (\d+) fails/m.exec(output)
    return { by: found === null ? null : `seed ${found[1]}`, output }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const wanted = process.argv.slice(2)
  const queue = [...mutations, ...unfound]
    .filter(({ name }) => wanted.length === 0 || wanted.some(w => name.includes(w)))
    .values()
  const lane = async () => {
    for (const mutation of queue) {
      const wrong = stale(mutation)
      if (wrong.length > 0) console.log(`STALE ${mutation.name}: ${wrong}`)
      else {
        const began = performance.now()
        const { by, output } = await hunt(mutation)
        const why = /^seed .*\n {2}(.*)/m.exec(output)?.[1] ?? output.slice(-300)
        console.log(`${by ?? 'NOT FOUND'}\t${((performance.now() - began) / 1000).toFixed(0)} s\t${mutation.name}\t${why}`)
      }
    }
  }
  await Promise.all([lane(), lane()])
}
