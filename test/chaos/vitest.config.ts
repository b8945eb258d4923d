import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/chaos/**/*.test.ts'],
    testTimeout: 90_000,
    hookTimeout: 120_000,
    // What is measured is the time until planes notice: nothing else may take their cores.
    fileParallelism: false,
    retry: 0,
  },
})
