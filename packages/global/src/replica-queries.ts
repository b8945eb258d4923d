import type { ApiPlane } from '@zonemesh/plane/api/plane.ts'
import { joinRelay } from '@zonemesh/plane/replicas/relay.ts'
import { err, ok } from '@zonemesh/shared/base/base.ts'
import type { SyncServer } from '@zonemesh/shared/sync/server.ts'
import { z } from 'zod'

type RelayDeps = Parameters<typeof joinRelay>[0]
type Sync = Pick<SyncServer, 'ask' | 'release' | 'replicaOf'>

/** What a global asks its zones, whichever replica has their sessions. */
export interface ReplicaQueries extends AsyncDisposable {
  readonly askZone: ApiPlane['askZone']
  /** Requests that a zone releases a hold. False if no replica has its session. */
  release(zone: string, hold: string): Promise<boolean>
}

const zoneQuestion = z.object({ zone: z.string(), name: z.string(), request: z.record(z.string(), z.json()) })
const releaseQuestion = z.object({ zone: z.string(), hold: z.string() })
const releaseMs = 5_000

/** `instance` is the name of this process, if other processes share its store. */
export function createReplicaQueries(deps: RelayDeps, instance: string | undefined, sync: Sync): ReplicaQueries {
  const relay =
    instance === undefined
      ? undefined
      : joinRelay(deps, instance, {
          async zone(request, signal) {
            const read = zoneQuestion.safeParse(request)
            if (!read.success) return err({ code: 'refused', reason: 'the question names no zone' })
            return sync.ask(read.data.zone, read.data.name, read.data.request, signal)
          },
          async release(request) {
            const read = releaseQuestion.safeParse(request)
            return ok({ released: read.success && sync.release(read.data.zone, read.data.hold) })
          },
        })
  return {
    async askZone(zone, name, request, signal) {
      const replica = sync.replicaOf(zone)
      if (!relay || replica === undefined) return sync.ask(zone, name, request, signal)
      return relay.ask(replica, 'zone', { zone, name, request }, signal)
    },
    async release(zone, hold) {
      const replica = sync.replicaOf(zone)
      if (!relay || replica === undefined) return sync.release(zone, hold)
      const answer = await relay.ask(replica, 'release', { zone, hold }, AbortSignal.timeout(releaseMs))
      return answer.ok && answer.value['released'] === true
    },
    [Symbol.asyncDispose]: async () => relay?.[Symbol.asyncDispose](),
  }
}
