import type { SecretNeed } from '@zonemesh/core/emit/table.ts'
import { type AuthorityUseSpec, authorityUse } from '@zonemesh/core/kinds/internal.ts'
import { specOf } from '@zonemesh/core/kinds/row.ts'
import type { AuthorityHolder } from '@zonemesh/plane/authority/holder.ts'
import { canonicalJson } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { usedTogether } from '../replicas/replica.ts'
import type { Secrets } from './secrets.ts'

interface Deps {
  readonly store: Store
  readonly zone: string
  readonly clock: Clock
  readonly commit: Store['commit']
  readonly holder: Pick<AuthorityHolder, 'trusted' | 'meshes'>
  readonly secrets: Pick<Secrets, 'identityOf'>
  /** Whether this process writes the reports of the zone. */
  readonly leads: () => boolean
  /** What the other replicas of the zone publish of their proxies. */
  readonly otherUses: (mesh: string) => readonly AuthorityUseSpec[]
}

/** The roots that one table of a proxy trusts, and the roots of the certificates that it shows, as fingerprints. */
interface TableRoots {
  readonly serial: number
  readonly mesh: string
  readonly trusts: readonly string[]
  readonly shows: readonly string[]
}

interface Proxy {
  /**
   * The newest answered table and the unanswered ones, the oldest first. Limit: the stream's limit of unanswered
   * tables.
   */
  tables: TableRoots[]
  hasAnswered: boolean
  goneAtMs: number | undefined
}

/** An Envoy without a stream keeps its configuration, and its endpoints stay for about this time (the lease). */
const stayMs = 35_000
/** After a start of the zone, its proxies reconnect within this time. Until then the former report covers them. */
const returnMs = 60_000

/**
 * Reports to the owner of authorities which roots the proxies of this zone trust and show. A rotation continues when
 * all zones trust the new root, and ends when no proxy shows the old one. So no proxy ever meets a certificate of a
 * root that it does not trust.
 */
export function createAuthorityUse(deps: Deps) {
  const proxies = new Map<string, Proxy>()
  const startedAtMs = deps.clock.monotonicMs()
  /** The report on each mesh from before the start of this process. */
  const former = new Map<string, AuthorityUseSpec | undefined>()
  let look: Disposable | undefined

  /** Forgets proxies that are gone for long enough. Returns the time at which the report changes without an event. */
  function forgetGone(nowMs: number): number {
    let nextMs = nowMs < startedAtMs + returnMs ? startedAtMs + returnMs : Number.POSITIVE_INFINITY
    for (const [name, { goneAtMs }] of proxies) {
      if (goneAtMs === undefined) continue
      if (goneAtMs + stayMs <= nowMs) proxies.delete(name)
      else nextMs = Math.min(nextMs, goneAtMs + stayMs)
    }
    return nextMs
  }

  function useOf(mesh: string, nowMs: number): AuthorityUseSpec {
    const { roots, issuer, generation } = deps.holder.trusted(mesh)
    const before = nowMs < startedAtMs + returnMs ? former.get(mesh) : undefined
    const shows = new Set([...(issuer === '' ? [] : [issuer]), ...(before?.shows ?? [])])
    let trusts = roots.filter((root) => before === undefined || before.trusts.includes(root))
    for (const table of [...proxies.values()].flatMap(({ tables }) => tables)) {
      if (table.mesh !== mesh) continue
      for (const root of table.shows) shows.add(root)
      trusts = trusts.filter((root) => table.trusts.includes(root))
    }
    return { generation, trusts: [...trusts].sort(), shows: [...shows].sort() }
  }

  return {
    /** A table with the present secrets was sent to a proxy. */
    sent(proxy: string, serial: number, needs: readonly SecretNeed[]): void {
      const meshes = new Set(needs.flatMap((need) => meshesOf(need, deps.holder.meshes())))
      for (const mesh of meshes) {
        const shows = needs.flatMap((need) => {
          const root = need.type === 'identity' && need.mesh === mesh ? deps.secrets.identityOf(need)?.root : undefined
          return root === undefined ? [] : [root]
        })
        const state = proxies.get(proxy) ?? { tables: [], hasAnswered: false, goneAtMs: undefined }
        state.goneAtMs = undefined
        state.tables.push({ serial, mesh, trusts: deps.holder.trusted(mesh).roots, shows })
        proxies.set(proxy, state)
      }
    },
    /** A proxy has answered every table up to this serial. Returns true if it now shows or trusts other roots. */
    served(proxy: string, serial: number): boolean {
      const state = proxies.get(proxy)
      const answered = state?.tables.filter((table) => table.serial <= serial) ?? []
      const newest = answered.at(-1)
      if (!state || !newest) return false
      state.tables = state.tables.filter((table) => table.serial >= newest.serial)
      const isFirst = !state.hasAnswered
      state.hasAnswered = true
      return isFirst || answered.some((table) => table.serial < newest.serial && !isSame(table, newest))
    },
    /** The stream of a proxy has closed. */
    gone(proxy: string): void {
      const state = proxies.get(proxy)
      if (state) state.goneAtMs = deps.clock.monotonicMs()
    },
    /** Writes the reports that have changed. Calls `wake` at the time at which it must run again. */
    async reconcile(wake: () => void): Promise<void> {
      look?.[Symbol.dispose]()
      const nowMs = deps.clock.monotonicMs()
      const nextMs = forgetGone(nowMs)
      look = Number.isFinite(nextMs) ? deps.clock.after(nextMs - nowMs, wake) : undefined
      for (const mesh of deps.holder.meshes()) {
        const key = { origin: deps.zone, kind: 'AuthorityUse', mesh, name: 'roots' }
        const stored = (await deps.store.get(key))?.row
        if (!former.has(mesh)) former.set(mesh, stored && specOf(authorityUse, stored))
        if (!deps.leads()) continue
        const spec = usedTogether(useOf(mesh, nowMs), deps.otherUses(mesh))
        if (stored && canonicalJson(stored.spec) === canonicalJson(spec)) continue
        await deps.commit({
          changes: [{ op: 'put', key, labels: {}, spec: { ...spec } }],
          subject: 'mesh-system:control-plane',
          intent: `report the roots that proxies of mesh ${mesh} trust and show`,
        })
      }
    },
    /** The roots that the proxies of this process trust and show, by mesh. */
    own: (): Readonly<Record<string, AuthorityUseSpec>> =>
      Object.fromEntries(deps.holder.meshes().map((mesh) => [mesh, useOf(mesh, deps.clock.monotonicMs())])),
    close: (): void => look?.[Symbol.dispose](),
  }
}

const isSame = (a: TableRoots, b: TableRoots): boolean =>
  canonicalJson({ ...a, serial: 0 }) === canonicalJson({ ...b, serial: 0 })

/** The meshes whose roots a secret contains, or whose issuer signed it. */
function meshesOf(need: SecretNeed, all: readonly string[]): readonly string[] {
  if (need.type === 'certificate') return []
  return need.type === 'authorities' ? all : [need.mesh]
}
