import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/compose/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 420_000,
    fileParallelism: false,
    retry: 0,
  },
})
