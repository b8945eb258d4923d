import { isEnabled, type ZoneSpec } from '@zonemesh/core/kinds/zone.ts'
import { recallOf } from '@zonemesh/core/names/recall.ts'
import { sightRules } from '@zonemesh/plane/sight.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { type SyncServer, startSyncServer } from '@zonemesh/shared/sync/server.ts'
import { openDisk } from './disk.ts'
import { simulatedPacking, simulatedQueries } from './queries.ts'
import type { Scene } from './scene.ts'
import type { Process } from './world.ts'

/** One process of the global: the real sync server over the shared disk. */
export interface GlobalPlane {
  readonly process: Process
  readonly store: Store
  readonly sync: SyncServer
}

/** Tokens are zone names here. As in the real plane, the Zone states whether a zone is disabled. */
async function authenticate(store: Store, token: string) {
  const row = (await store.get({ origin: globalOrigin, kind: 'Zone', mesh: '', name: token }))?.row
  // The kind determines the type of its spec.
  if (row && isEnabled(row.spec as ZoneSpec)) return { ok: true, value: { zone: token } } as const
  return { ok: false, error: `there is no enabled Zone "${token}"` } as const
}

export async function startGlobalPlane(scene: Scene, index: number): Promise<GlobalPlane> {
  const { world, network, options } = scene
  const process = world.createProcess(`global-${index}`, scene.wallOf(`global-${index}`))
  const store = openDisk(world, process, scene.globalDisk, {
    plane: 'global',
    sabotage: options.sabotage,
    horizonRevisions: options.horizonRevisions,
    onWritten: (written) => scene.written('global', scene.globalDisk, written),
  })
  const sync = await startSyncServer(
    {
      store,
      clock: process.clock,
      log: silentLog,
      rules: sightRules,
      recall: recallOf,
      authenticate: (token) => authenticate(store, token),
      queries: { handlersFor: () => simulatedQueries('global'), packing: simulatedPacking },
    },
    {
      listen: [network.listen(index, process)],
      version: 'sim',
      hostname: process.name,
      replica: `${process.name} ${world.now()}`,
      formerStayMs: options.formerStayMs,
    },
  )
  return { process, store, sync }
}
