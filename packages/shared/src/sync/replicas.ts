import type { JsonObject } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Store } from '../store/store.ts'
import type { ZoneStatus } from './zone-status.ts'

interface Deps {
  readonly store: Store
  readonly clock: Clock
  /** This process: no other one of the store, now or before, is called so. */
  readonly instance: string
}

/** A replica that does not beat for so long is gone, and what it said with it. */
const silentMs = 10_000
const prefix = 'replica/'

/** What a replica says of one of its zones. */
export interface RemoteZone {
  readonly status: ZoneStatus
  /** The zone has told all that it had in this session. */
  readonly complete: boolean
}

/**
 * What the processes of one global tell each other of their zones, by notes in the store they share: state, never log. A
 * replica is believed while its count goes on; what was written before this process began to look is not.
 */
export function createReplicas({ store, clock, instance }: Deps) {
  const beats = new Map<string, { readonly beat: number; readonly sinceMs: number; readonly isLive: boolean }>()
  let beat = 0
  return {
    async tell(zones: ReadonlyMap<string, RemoteZone>): Promise<void> {
      beat += 1
      const told = Object.fromEntries(
        [...zones].map(([zone, { status, complete }]) => [zone, { complete, status: { ...status, report: {} } }]),
      )
      // Both are made of JSON values: a status without its report is numbers, texts and lists of them.
      const value = { beat, zones: JSON.parse(JSON.stringify(told)) as JsonObject }
      await store.notes.put([{ name: prefix + instance, value }])
    },
    /** The zones of all other replicas that live. */
    async hear(): Promise<ReadonlyMap<string, RemoteZone>> {
      const found = new Map<string, RemoteZone>()
      const gone: string[] = []
      for (const [name, value] of await store.notes.read(prefix)) {
        if (name === prefix + instance) continue
        const now = Number(value['beat'])
        const known = beats.get(name)
        const moved = known !== undefined && known.beat !== now
        if (!known || moved) beats.set(name, { beat: now, sinceMs: clock.monotonicMs(), isLive: moved })
        const latest = beats.get(name)
        if (latest && clock.monotonicMs() - latest.sinceMs > silentMs) gone.push(name)
        else if (latest?.isLive) {
          // Written by `tell` of a process like this one.
          for (const [zone, remote] of Object.entries(value['zones'] as unknown as Record<string, RemoteZone>))
            found.set(zone, remote)
        }
      }
      if (gone.length > 0) await store.notes.put(gone.map((name) => ({ name, value: undefined })))
      for (const name of gone) beats.delete(name)
      return found
    },
    leave: (): Promise<void> => store.notes.put([{ name: prefix + instance, value: undefined }]),
  }
}
