import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // Planes of tests leave nothing in the home folder.
    env: { XDG_STATE_HOME: join(tmpdir(), 'zonemesh-test-state') },
    include: ['test/containers/**/*.test.ts'],
    globalSetup: ['test/containers/engine.ts'],
    testTimeout: 90_000,
    hookTimeout: 120_000,
    // The containers wait for disks more than they compute.
    maxWorkers: 2,
    retry: 0,
  },
})
