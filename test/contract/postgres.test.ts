import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { openPostgresStore } from '@zonemesh/shared/store/postgres.ts'
import { afterAll, beforeAll } from 'vitest'
import { type PostgresServer, startPostgres } from './postgres-server.ts'
import { type OpenedStore, type OpenStore, storeContract } from './store.ts'
import { roundContract } from './store-rounds.ts'
import { createTickingClock } from './ticking-clock.ts'
import { openAsZone } from './zone-store.ts'

let server: PostgresServer
let schemas = 0
beforeAll(async () => {
  server = await startPostgres({ durable: false })
})
afterAll(() => server[Symbol.asyncDispose]())

const open: OpenStore = async ({ faultPoint, ...options }) => {
  const base = { clock: createTickingClock(), random: createSeededRandom(1), log: silentLog }
  const deps = { ...base, ...(faultPoint ? { faultPoint } : {}) }
  schemas += 1
  const schema = `contract_${schemas}`
  const opened = async (): Promise<OpenedStore> => {
    const store = await openPostgresStore(deps, { ...options, url: server.url(schema) })
    return {
      store,
      reopen: async () => {
        await store.close()
        return opened()
      },
      remove: async () => {
        await store.close()
        await server.sql(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
      },
    }
  }
  return opened()
}

storeContract('PostgreSQL', open)
roundContract('PostgreSQL', open, false)
roundContract('PostgreSQL, as a zone opens it', openAsZone(createTickingClock(), open), true)
