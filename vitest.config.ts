import { defineConfig } from 'vitest/config'

export default defineConfig({ test: { globalSetup: ['test/stack/global.ts'] } })
