import type { SecretNeed } from '@zonemesh/core/emit/table.ts'
import type { AuthorityUseSpec } from '@zonemesh/core/kinds/internal.ts'
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
  /** Proxies that have been left out because they do not answer. */
  readonly silent: () => readonly string[]
}

/** What one table of a proxy trusts and shows in its mesh, by the fingerprints of roots. */
interface Held {
  readonly serial: number
  readonly mesh: string
  readonly trusts: readonly string[]
  readonly shows: readonly string[]
}

interface Proxy {
  /** What it has accepted; undefined before its first answer. */
  accepted: readonly Held[] | undefined
  /** On their way, the oldest first. Limit: those that a stream has not answered. */
  waiting: Held[]
}

/** Proxies that do not answer are left out after this time: then somebody must look again. */
const lookAgainMs = 2_100

/**
 * Tells the owner of authorities which roots the live proxies of this zone trust and show. A rotation goes on when every
 * zone trusts the new root, and ends when nobody shows the old one: a request never meets an end that does not know it.
 */
export function createAuthorityUse(deps: Deps) {
  const proxies = new Map<string, Proxy>()
  let look: Disposable | undefined

  function of(proxy: string): Proxy {
    const known = proxies.get(proxy) ?? { accepted: undefined, waiting: [] }
    proxies.set(proxy, known)
    return known
  }

  /** Undefined while a live proxy has not said yet what it has. */
  function useOf(mesh: string): AuthorityUseSpec | undefined {
    const bundle = deps.holder.trusted(mesh)
    let trusts = bundle.roots
    const shows = new Set([bundle.issuer])
    const silent = new Set(deps.silent())
    for (const [name, { accepted, waiting }] of proxies) {
      if (accepted === undefined && waiting.some((one) => one.mesh === mesh) && !silent.has(name)) return undefined
      for (const one of [...(accepted ?? []), ...waiting])
        if (one.mesh === mesh) for (const root of one.shows) shows.add(root)
      if (silent.has(name)) continue
      for (const one of accepted ?? [])
        if (one.mesh === mesh) trusts = trusts.filter((root) => one.trusts.includes(root))
    }
    return { trusts: [...trusts].sort(), shows: [...shows].sort() }
  }

  return {
    /** A table was handed to a proxy, made of the secrets that there are now. */
    sent(proxy: string, serial: number, needs: readonly SecretNeed[]): void {
      const meshes = new Set(needs.flatMap((need) => (need.type === 'certificate' ? [] : [need.mesh])))
      for (const mesh of meshes) {
        const shows = needs.flatMap((need) => {
          const root = need.mesh === mesh ? deps.secrets.identityOf(need)?.root : undefined
          return root === undefined ? [] : [root]
        })
        of(proxy).waiting.push({ serial, mesh, trusts: deps.holder.trusted(mesh).roots, shows })
      }
    },
    /** A proxy has answered every table up to this serial. True if that may be news for the owner. */
    served(proxy: string, serial: number): boolean {
      const known = proxies.get(proxy)
      const answered = known?.waiting.filter((one) => one.serial <= serial) ?? []
      const newest = answered.at(-1)
      if (!known || !newest) return false
      const next = answered.filter((one) => one.serial === newest.serial)
      known.waiting = known.waiting.filter((one) => one.serial > serial)
      const bare = (list: readonly Held[] | undefined) => canonicalJson(list?.map((one) => ({ ...one, serial: 0 })))
      const isNews = bare(known.accepted) !== bare(next)
      known.accepted = next
      return isNews
    },
    /** True if that may be news for the owner. */
    gone: (proxy: string): boolean => proxies.delete(proxy),
    /** Writes what has changed. */
    async reconcile(wake: () => void): Promise<void> {
      look?.[Symbol.dispose]()
      look = undefined
      for (const mesh of deps.holder.meshes()) {
        const key = { origin: deps.zone, kind: 'AuthorityUse', mesh, name: 'roots' }
        const spec = useOf(mesh)
        if (spec === undefined) {
          look = deps.clock.after(lookAgainMs, wake)
          continue
        }
        const stored = (await deps.store.get(key))?.row
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
