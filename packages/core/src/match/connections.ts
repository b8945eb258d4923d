import { byCodeUnit, canonicalJson } from '@zonemesh/shared/base/base.ts'
import { parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { z } from 'zod'
import { type Selectors, serviceTag } from '../kinds/common.ts'
import type { MeshName } from '../kinds/identities.ts'
import { createInterning, type Interned } from '../kinds/interned.ts'
import type { KindOf, TypedRow } from '../kinds/kind.ts'
import { ranges } from '../kinds/ranges.ts'
import { addRanks, bestMatch, compareRank, type Rank, type TagSet } from '../kinds/tags.ts'
import type { Units } from '../view/units.ts'
import type { View } from '../view/view.ts'

/** A source/destination policy that was chosen for one connection. */
export interface ChosenPolicy {
  readonly key: string
  readonly createdAtMs: number
  /** The policy applies to any service: its destination is `*`. */
  readonly anyDestination: boolean
}

interface Connection {
  readonly sources: Selectors
  readonly destinations: Selectors
}

/** A kind of source/destination policy, read from the view. `read` throws if a policy cannot be applied. */
export interface ConnectionKind {
  readonly name: string
  readonly read: (view: View, key: string) => TypedRow<Connection> | undefined
}

/** `prove` throws if a policy cannot be applied. Such a policy is ignored. */
export function connectionKind<Schema extends z.ZodType<Connection>>(
  kind: KindOf<Schema>,
  prove: (spec: z.infer<Schema>) => void,
): ConnectionKind {
  return {
    name: kind.name,
    read(view, key) {
      const row = view.row(kind, key)
      if (row) prove(row.spec)
      return row
    },
  }
}

type Candidate = readonly [key: string, rank: Rank]

/**
 * The policies of a kind whose sources match a proxy. Proxies with the same profile share everything derived from it.
 */
export interface Profile extends Interned {
  readonly candidates: readonly Candidate[]
}

/**
 * Chooses source/destination policies: the highest combined rank of source and destination; among equals the newest.
 */
export function createConnections(units: Units, view: View, kinds: readonly ConnectionKind[]) {
  const kindByName = new Map(kinds.map((kind) => [kind.name, kind]))
  const profileOf = createInterning(canonicalJson, (one, candidates: Candidate[]): Profile => ({ ...one, candidates }))

  const spec = units.family('connection policy', (key: string) => {
    const row = kindByName.get(parseKeyText(key).kind)?.read(view, key)
    if (!row) return undefined
    const { sources, destinations } = row.spec
    return { sources, destinations, createdAtMs: row.stamp.createdAtMs }
  })

  return {
    /** The policies of a kind whose sources match any of these tag sets. */
    profile: units.family('profile', (kind: string, mesh: MeshName, sources: readonly TagSet[]): Profile => {
      const candidates: Candidate[] = []
      for (const key of view.range(ranges.inMesh(kind, mesh))) {
        const rank = units.attempt(key, () =>
          bestOf(sources.flatMap(({ tags }) => bestMatch(spec(key)?.sources, tags) ?? [])),
        )
        if (rank) candidates.push([key, rank])
      }
      return profileOf(candidates)
    }),
    chosen: units.family('chosen policy', ({ candidates }: Profile, destination: TagSet): ChosenPolicy | undefined => {
      let best: (ChosenPolicy & { readonly rank: Rank }) | undefined
      for (const [key, sourceRank] of candidates) {
        const found = units.attempt(key, () => {
          const policy = spec(key)
          const rank = bestMatch(policy?.destinations, destination.tags)
          return policy && rank ? { policy, rank } : undefined
        })
        if (!found) continue
        const candidate = {
          key,
          createdAtMs: found.policy.createdAtMs,
          anyDestination: found.policy.destinations.some(({ match }) => match?.[serviceTag] === '*'),
          rank: addRanks(sourceRank, found.rank),
        }
        if (!best || isBetter(candidate, best)) best = candidate
      }
      return best && { key: best.key, createdAtMs: best.createdAtMs, anyDestination: best.anyDestination }
    }),
  }
}
export type Connections = ReturnType<typeof createConnections>

/**
 * Chooses one policy for a route to several services from the best policy of each service: the oldest policy for any
 * service, if there is one, otherwise the oldest policy.
 */
export function chooseForRoute(chosen: readonly ChosenPolicy[]): ChosenPolicy | undefined {
  const forAny = chosen.filter((one) => one.anyDestination)
  return [...(forAny.length > 0 ? forAny : chosen)].sort(
    (a, b) => a.createdAtMs - b.createdAtMs || byCodeUnit(a.key, b.key),
  )[0]
}

function bestOf(ranks: readonly Rank[]): Rank | undefined {
  return ranks.reduce<Rank | undefined>((best, rank) => (best && compareRank(best, rank) >= 0 ? best : rank), undefined)
}

type Ranked = ChosenPolicy & { readonly rank: Rank }
const isBetter = (a: Ranked, b: Ranked): boolean => {
  const order = compareRank(a.rank, b.rank) || a.createdAtMs - b.createdAtMs || byCodeUnit(b.key, a.key)
  return order > 0
}
