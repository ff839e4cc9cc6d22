/** Ends the servers that a test run has started. */
import { rmSync } from 'node:fs'
import { stopShared } from './shared.ts'

export default function setup(): () => Promise<void> {
  const folder = process.env.BMA_STACK_RUN as string
  return async () => {
    await stopShared(folder)
    rmSync(folder, { recursive: true, force: true })
  }
}
