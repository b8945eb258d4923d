import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { openPostgresStore } from '@zonemesh/shared/store/postgres.ts'
import type { PostgresServer } from './postgres-server.ts'
import { type OpenedStore, type OpenStore, storeContract } from './store.ts'
import { roundContract } from './store-rounds.ts'
import { traceContract } from './store-traces.ts'
import { createTickingClock } from './ticking-clock.ts'
import { openAsZone } from './zone-store.ts'

/**
 * The contract of every store, for a PostgreSQL server. Each store has its own schema. `asZone`: also with the rows that
 * a zone derives, which takes longer and sends the same statements.
 */
export function postgresContract(
  name: string,
  server: () => PostgresServer,
  { asZone = false }: { readonly asZone?: boolean } = {},
): void {
  let schemas = 0
  const open: OpenStore = async ({ faultPoint, ...options }) => {
    const base = { clock: createTickingClock(), random: createSeededRandom(1), log: silentLog }
    const deps = { ...base, ...(faultPoint ? { faultPoint } : {}) }
    schemas += 1
    const schema = `contract_${schemas}`
    const opened = async (): Promise<OpenedStore> => {
      const store = await openPostgresStore(deps, { ...options, url: server().url(schema) })
      return {
        store,
        reopen: async () => {
          await store.close()
          return opened()
        },
        remove: async () => {
          await store.close()
          await server().sql(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
        },
      }
    }
    return opened()
  }

  storeContract(name, open)
  roundContract(name, open, false)
  traceContract(name, open)
  if (asZone) roundContract(`${name}, as a zone opens it`, openAsZone(createTickingClock(), open), true)
}
