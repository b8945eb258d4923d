import type { StartedNetwork } from 'testcontainers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { postgresContract } from '../contract/postgres.ts'
import { replicasContract } from '../contract/postgres-replicas.ts'
import { startNetwork } from './container.ts'
import { type Major, type PostgresContainer, startPostgres } from './rig.ts'

/** The contracts of stores and of wake-ups on one version of PostgreSQL in a container. */
export function contractsInContainer(major: Major): void {
  let network: StartedNetwork
  let server: PostgresContainer
  beforeAll(async () => {
    network = await startNetwork()
    server = await startPostgres({ network, major })
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
    await network?.stop()
  })

  it('S30 the server in the container has the version that the contracts are run for', async () => {
    expect((await server.sql('SHOW server_version'))[0]?.['server_version']).toMatch(new RegExp(`^${major}\\.`))
  })
  postgresContract(`PostgreSQL ${major}`, () => server)
  replicasContract(`PostgreSQL ${major}`, () => server)
}
