/** Ends the servers that a test run has started; and those of runs that were killed before they could. */
import { readdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { abandonShared, startOf, stopShared } from './shared.ts'

export default async function setup(): Promise<() => Promise<unknown>> {
  for (const name of readdirSync(tmpdir())) {
    const run = /^stack-of-run-(\d+)-/.exec(name)?.[1]
    const folder = join(tmpdir(), name)
    if (run !== undefined && startOf(Number(run)) === null && isMine(folder)) await stopShared(folder)
  }
  const own = process.env.BMA_STACK_RUN as string
  // When it is interrupted, vitest exits without the teardown.
  process.once('exit', () => abandonShared(own))
  return () => stopShared(own)
}

function isMine(folder: string): boolean {
  return statSync(folder, { throwIfNoEntry: false })?.uid === process.getuid?.()
}
