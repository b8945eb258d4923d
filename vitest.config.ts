import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // Planes of tests leave nothing in the home folder.
    env: { XDG_STATE_HOME: join(tmpdir(), 'zonemesh-test-state') },
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'test/compose/**', 'test/containers/**', 'test/install/**', 'test/chaos/**'],
    // Real processes share two cores: files run two at a time, each test waits on events and never sleeps.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    retry: 0,
  },
})
