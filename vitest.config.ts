import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

/**
 * Where the servers of this run are written down, once a test has started them; a later run finds by the name whether this one
 * has ended. A run within a run has its own: it would end the servers of the other.
 */
const OWN = join(tmpdir(), `stack-of-run-${process.pid}-`)
if (!process.env.BMA_STACK_RUN?.startsWith(OWN)) process.env.BMA_STACK_RUN = mkdtempSync(OWN)

export default defineConfig({
  test: {
    globalSetup: ['test/stack/global.ts'],
    // A hook may have to start real servers first.
    hookTimeout: 120_000,
    // Servers are ended in order.
    teardownTimeout: 30_000,
    projects: [
      { extends: true, test: { name: 'all', exclude: ['**/node_modules/**'] } },
      // The stories through the running service once more, with its log on a real cluster.
      { extends: true, test: { name: 'on Kafka', include: ['test/service/*.test.ts'], env: { BMA_TEST_LOG: 'kafka' } } },
    ],
  },
})
