import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryContents, createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { openSqliteStore } from '@zonemesh/shared/store/sqlite.ts'
import { type OpenedStore, storeContract } from './store.ts'
import { createTickingClock } from './ticking-clock.ts'

storeContract('memory', async (options) => {
  const deps = { clock: createTickingClock(), random: createSeededRandom(1) }
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
})

storeContract('SQLite', async (options) => {
  const deps = { clock: createTickingClock(), random: createSeededRandom(1), log: silentLog }
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
})
