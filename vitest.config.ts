import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

/** Where the servers of this run are written down, once a test has started them; a later run finds by the name whether this one has ended. */
process.env.BMA_STACK_RUN ??= mkdtempSync(join(tmpdir(), `stack-of-run-${process.pid}-`))

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
