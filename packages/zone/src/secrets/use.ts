import type { SecretNeed } from '@zonemesh/core/emit/table.ts'
import { type AuthorityUseSpec, authorityUse } from '@zonemesh/core/kinds/internal.ts'
import { specOf } from '@zonemesh/core/kinds/row.ts'
import type { AuthorityHolder } from '@zonemesh/plane/authority/holder.ts'
import { canonicalJson } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { Secrets } from './secrets.ts'

interface Deps {
  readonly store: Store
  readonly zone: string
  readonly clock: Clock
  readonly commit: Store['commit']
  readonly holder: Pick<AuthorityHolder, 'trusted' | 'meshes'>
  readonly secrets: Pick<Secrets, 'identityOf'>
}

/** What one table of a proxy trusts and shows in its mesh, by the fingerprints of roots. */
interface Held {
  readonly serial: number
  readonly mesh: string
  readonly trusts: readonly string[]
  readonly shows: readonly string[]
}

interface Proxy {
  /** What it has accepted last, and what is on its way, the oldest first. Limit: what a stream has not answered. */
  held: Held[]
  hasAnswered: boolean
  goneAtMs: number | undefined
}

/** An Envoy whose stream has ended goes on with what it has; its endpoints stay as long as this. */
const stayMs = 35_000
/** After a start of the zone its proxies come back within this time. Till then what was told before is true of them too. */
const returnMs = 60_000

/**
 * Tells the owner of authorities which roots the proxies of this zone trust and show. A rotation goes on when every zone
 * trusts the new root, and ends when nobody shows the old one: a request never meets an end that does not know it.
 */
export function createAuthorityUse(deps: Deps) {
  const proxies = new Map<string, Proxy>()
  const startedAtMs = deps.clock.monotonicMs()
  /** What a former life of this zone has told of each mesh. */
  const former = new Map<string, AuthorityUseSpec | undefined>()
  let look: Disposable | undefined

  /** The time of the next change that comes by itself. */
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
    for (const one of [...proxies.values()].flatMap(({ held }) => held)) {
      if (one.mesh !== mesh) continue
      for (const root of one.shows) shows.add(root)
      trusts = trusts.filter((root) => one.trusts.includes(root))
    }
    return { generation, trusts: [...trusts].sort(), shows: [...shows].sort() }
  }

  return {
    /** A table was handed to a proxy, made of the secrets that there are now. */
    sent(proxy: string, serial: number, needs: readonly SecretNeed[]): void {
      const meshes = new Set(needs.flatMap((need) => meshesOf(need, deps.holder.meshes())))
      for (const mesh of meshes) {
        const shows = needs.flatMap((need) => {
          const root = need.type === 'identity' && need.mesh === mesh ? deps.secrets.identityOf(need)?.root : undefined
          return root === undefined ? [] : [root]
        })
        const known = proxies.get(proxy) ?? { held: [], hasAnswered: false, goneAtMs: undefined }
        known.goneAtMs = undefined
        known.held.push({ serial, mesh, trusts: deps.holder.trusted(mesh).roots, shows })
        proxies.set(proxy, known)
      }
    },
    /** A proxy has answered every table up to this serial. True if it shows or trusts something else now. */
    served(proxy: string, serial: number): boolean {
      const known = proxies.get(proxy)
      const answered = known?.held.filter((one) => one.serial <= serial) ?? []
      const newest = answered.at(-1)
      if (!known || !newest) return false
      known.held = known.held.filter((one) => one.serial >= newest.serial)
      const isFirst = !known.hasAnswered
      known.hasAnswered = true
      return isFirst || answered.some((one) => one.serial < newest.serial && !isSame(one, newest))
    },
    /** The stream of a proxy has ended. */
    gone(proxy: string): void {
      const known = proxies.get(proxy)
      if (known) known.goneAtMs = deps.clock.monotonicMs()
    },
    /** Writes what has changed. `wake` asks for the next time. */
    async reconcile(wake: () => void): Promise<void> {
      look?.[Symbol.dispose]()
      const nowMs = deps.clock.monotonicMs()
      const nextMs = forgetGone(nowMs)
      look = Number.isFinite(nextMs) ? deps.clock.after(nextMs - nowMs, wake) : undefined
      for (const mesh of deps.holder.meshes()) {
        const key = { origin: deps.zone, kind: 'AuthorityUse', mesh, name: 'roots' }
        const stored = (await deps.store.get(key))?.row
        if (!former.has(mesh)) former.set(mesh, stored && specOf(authorityUse, stored))
        const spec = useOf(mesh, nowMs)
        if (stored && canonicalJson(stored.spec) === canonicalJson(spec)) continue
        await deps.commit({
          changes: [{ op: 'put', key, labels: {}, spec: { ...spec } }],
          subject: 'mesh-system:control-plane',
          intent: `roots that proxies of mesh ${mesh} trust and show`,
        })
      }
    },
    close: (): void => look?.[Symbol.dispose](),
  }
}

const isSame = (a: Held, b: Held): boolean => canonicalJson({ ...a, serial: 0 }) === canonicalJson({ ...b, serial: 0 })

/** The meshes whose roots a secret holds, or whose roots it leads to. */
function meshesOf(need: SecretNeed, all: readonly string[]): readonly string[] {
  if (need.type === 'certificate') return []
  return need.type === 'authorities' ? all : [need.mesh]
}
