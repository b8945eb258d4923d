import type { JsonObject } from '../base/base.ts'
import type { Origin, ResourceKey } from '../resource/resource.ts'
import type { Change, Store, Version } from '../store/store.ts'
import type { Beat, LeaderRow, Seen } from './step.ts'

/** The process that leads the replicas of a plane: an own row, written when the lead changes. Never sent. */
export const leaderKind = 'PlaneLeader'

/** What a store holds of the leader of a plane: a row that names it, and a note with its beats. */
export function createLeaderRecord(store: Store, origin: Origin) {
  const key: ResourceKey = { origin, kind: leaderKind, mesh: '', name: 'plane' }
  const note = `leader/${origin}`
  return {
    async read(): Promise<Seen> {
      const row = rowFrom(await store.get(key))
      return { row, beat: beatFrom((await store.notes.read(note)).get(note)) }
    },
    /** Names another leader, if the row is still this one. Returns its term, or undefined if it is another. */
    async take(instance: string, from: LeaderRow | undefined): Promise<number | undefined> {
      const expect = from ? { revision: from.term } : ({ absent: true } as const)
      const part = {
        changes: [{ op: 'put' as const, key, labels: {}, spec: { instance }, expect }],
        subject: 'mesh-system:control-plane',
        intent: `${instance} leads the replicas of this plane`,
      }
      // Without a mark: no reader needs this row at a snapshot.
      const outcome = await store.commitRound([part], { unmarked: true })
      return outcome.ok ? outcome.written[0]?.revision : undefined
    },
    async beat({ term, count, resigned }: Beat): Promise<void> {
      await store.notes.put([{ name: note, value: { term, count, ...(resigned ? { resigned } : {}) } }])
    },
    /** Holds while the leader of this term is the newest one. */
    guard: (term: number): Change => ({ op: 'check', key, expect: { revision: term } }),
  }
}

function rowFrom(version: Version | undefined): LeaderRow | undefined {
  const instance = version?.row?.spec['instance']
  return version && typeof instance === 'string' ? { instance, term: version.revision } : undefined
}

function beatFrom(value: JsonObject | undefined): Beat | undefined {
  if (typeof value?.['term'] !== 'number' || typeof value['count'] !== 'number') return undefined
  return { term: value['term'], count: value['count'], resigned: value['resigned'] === true }
}
