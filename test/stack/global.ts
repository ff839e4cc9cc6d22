/** Ends the servers that a test run has started. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { stopShared } from './shared.ts'

export default function setup(project: TestProject): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'stack-of-run-'))
  project.provide('stackFolder', folder)
  return async () => {
    await stopShared(folder)
    rmSync(folder, { recursive: true, force: true })
  }
}
