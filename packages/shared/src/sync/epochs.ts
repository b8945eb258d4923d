import type { JsonObject } from '../base/base.ts'
import { globalOrigin, type ResourceKey } from '../resource/resource.ts'
import type { Change, Store } from '../store/store.ts'
import { standingOf } from './handshake.ts'
import type { Hello, Reserved, Welcome } from './log/messages.ts'
import { epochKind } from './log/rounds.ts'

const epochKey = (zone: string): ResourceKey => ({ origin: globalOrigin, kind: epochKind, mesh: '', name: zone })

const triesMax = 10
const noReserve = { below: 0, count: 0 }

/** The right of a session to write the rows of its zone. */
export interface Epoch {
  readonly epoch: number
  /** The highest incarnation of the zone's rows that this store has seen before. */
  readonly formerIncarnation: number
  /**
   * Whether the history of this store holds the zone's position. A diverged position stays diverged after pruning. A
   * pruned position also counts as diverged if the zone had no session since this store began its incarnation: the
   * store was restored then, and the position may be of the lost history.
   */
  readonly standing: Welcome['standing']
  /** The position shows that this store was restored, and the store has begun no incarnation for that yet. */
  readonly showsRestore: boolean
  /** The numbers that the zone may give to names, reserved in the commit that takes the epoch. */
  readonly reserved: Reserved
  /** Fails once a newer session of the zone was opened, on any replica. */
  readonly guard: Change
}

/**
 * Takes the next epoch of a zone by compare-and-set, so that exactly one session of a zone is the newest on all
 * replicas.
 */
export async function nextEpoch(store: Store, zone: string, hello: Hello): Promise<Epoch> {
  const key = epochKey(zone)
  for (let tries = 1; tries <= triesMax; tries += 1) {
    const newest = await store.get(key)
    const former = newest?.state === 'live' ? newest : undefined
    const epoch = Number(former?.row?.spec['epoch'] ?? 0) + 1
    const formerIncarnation = Number(former?.row?.spec['incarnation'] ?? 0)
    const { storeId, host, startedAtMs, replica } = hello
    const { commitId } = hello.position ?? {}
    const found = await standingOf(store, hello.position)
    const isUnmet = (former?.row?.stamp.incarnation ?? store.incarnation) < store.incarnation
    const isForeign = former?.row?.spec['diverged'] === commitId || isUnmet
    const standing = found === 'behind' && isForeign ? 'diverged' : found
    const incarnation = Math.max(formerIncarnation, hello.incarnation)
    const reserve = reserveFor(former?.row?.spec ?? {}, hello)
    const put: Change = {
      op: 'put',
      key,
      labels: {},
      spec: {
        ...{ epoch, storeId, host, startedAtMs, replica, incarnation, ...reserve },
        // The commit that the zone has seen and this store does not hold. After pruning, only this field shows the
        // divergence.
        ...(standing === 'diverged' && commitId !== undefined ? { diverged: commitId } : {}),
      },
      expect: former ? { revision: former.revision } : { absent: true },
    }
    const commit = { changes: [put], subject: `zone ${zone}`, intent: 'open a sync session' }
    // Without a mark, because no zone receives this row. A mark would make every zone lag until it gets that mark.
    const outcome = await store.commitRound([commit], { unmarked: true })
    const revision = outcome.ok ? outcome.written[0]?.revision : undefined
    if (revision !== undefined)
      return {
        ...{ epoch, formerIncarnation, standing },
        showsRestore: standing === 'diverged' && hello.position?.store === store.id && !isUnmet,
        reserved: { below: reserve.reservedBelow, before: reserve.reservedBefore },
        guard: { op: 'check', key, expect: { revision } },
      }
  }
  throw new Error(`zone ${zone} cannot get an epoch: ${triesMax} attempts lost to other sessions`)
}

/**
 * The reserve of a zone, as its epoch row records it. A new incarnation gets numbers above those of all former
 * incarnations, and the same numbers at each attempt. An incarnation with a reserve gets more, unless it has not stored
 * its last grant yet.
 */
function reserveFor(former: JsonObject, { incarnation, reserve = noReserve }: Hello) {
  const below = Number(former['reservedBelow'] ?? 0)
  const isKnown = former['reservedFor'] === incarnation
  if (reserve.below === 0 && !isKnown)
    return { reservedFor: incarnation, reservedBefore: below, reservedBelow: below + reserve.count }
  const before = isKnown ? Number(former['reservedBefore']) : 0
  const isNewest = reserve.below >= below
  return {
    reservedFor: incarnation,
    reservedBefore: before,
    reservedBelow: isNewest ? reserve.below + reserve.count : below,
  }
}

/** The epoch of the newest session of each zone, on any replica. */
export async function newestEpochs(store: Store): Promise<ReadonlyMap<string, number>> {
  const rows = await store.scan({ origin: globalOrigin, kind: epochKind }, { at: (await store.head()).revision })
  return new Map(rows.map(({ key, spec }) => [key.name, Number(spec['epoch'] ?? 0)]))
}
