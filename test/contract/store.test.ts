import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryContents, createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import { type OpenedStore, type OpenStore, storeContract } from './store.ts'
import { roundContract } from './store-rounds.ts'
import { traceContract } from './store-traces.ts'
import { createTickingClock } from './ticking-clock.ts'
import { openAsZone } from './zone-store.ts'

const openMemory: OpenStore = async ({ faultPoint, ...options }) => {
  const deps = { clock: createTickingClock(), random: createSeededRandom(1), ...(faultPoint ? { faultPoint } : {}) }
  const contents = createMemoryContents(deps)
  const opened = (): OpenedStore => {
    const store = createMemoryStore(deps, { ...options, contents })
    return {
      store,
      reopen: async () => {
        await store.close()
        return opened()
      },
      remove: () => store.close(),
    }
  }
  return opened()
}

const openSqlite: OpenStore = async ({ faultPoint, ...options }) => {
  const base = { clock: createTickingClock(), random: createSeededRandom(1), log: silentLog }
  const deps = { ...base, ...(faultPoint ? { faultPoint } : {}) }
  const folder = mkdtempSync(join(tmpdir(), 'zonemesh-store-'))
  const opened = async (): Promise<OpenedStore> => {
    const store = await openSqliteStore(deps, { ...options, path: join(folder, 'store.db') })
    return {
      store,
      reopen: async () => {
        await store.close()
        return opened()
      },
      remove: async () => {
        await store.close()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  }
  return opened()
}

const stores: readonly (readonly [string, OpenStore])[] = [
  ['memory', openMemory],
  ['SQLite', openSqlite],
]
for (const [name, open] of stores) {
  const openZone = openAsZone(createTickingClock(), open)
  storeContract(name, open)
  roundContract(name, open, false)
  traceContract(name, open)
  storeContract(`${name}, as a zone opens it`, openZone)
  roundContract(`${name}, as a zone opens it`, openZone, true)
  traceContract(`${name}, as a zone opens it`, openZone)
}
