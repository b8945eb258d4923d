import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // Planes of tests leave nothing in the home folder.
    env: { XDG_STATE_HOME: join(tmpdir(), 'zonemesh-test-state') },
    include: ['test/chaos/**/*.test.ts'],
    testTimeout: 90_000,
    hookTimeout: 120_000,
    // What is measured is the time until planes notice: nothing else may take their cores.
    fileParallelism: false,
    retry: 0,
  },
})
