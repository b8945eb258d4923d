import type { ProxyFacts } from '@zonemesh/core/emit/table.ts'
import { type DataplaneSpec, dataplaneRole } from '@zonemesh/core/kinds/dataplane-spec.ts'
import { addressOf, everyMesh, type Names } from '@zonemesh/core/names/table.ts'
import { createLatest, type Latest } from '@zonemesh/shared/streams/latest.ts'
import type { NamesFeed, NamesTable } from './names-feed.ts'

export const domain = 'mesh'
export const ttlSeconds = 30
const virtualBase = '240.0.0.0'
const partSize = 4096

/** The base of a proxy's addresses: its /20 of 127.128.0.0/9, or the base that is the same everywhere. */
function addressFor(number: number, part: number | undefined): string | undefined {
  if (part === undefined) return addressOf(number, virtualBase)
  return number < partSize ? addressOf(number + part * partSize, '127.128.0.0') : undefined
}

interface Open {
  readonly mesh: string
  readonly facts: ProxyFacts
  readonly spec: () => DataplaneSpec | undefined
  readonly names: Latest<NamesTable | undefined>
}

/** What each proxy may resolve, kept up to date: the names of its mesh that it has listeners for. */
export function createNameFeeds(deps: {
  readonly names: Names
  readonly storeId: string
  /** Before that a name that is not there may only not be there yet. */
  readonly isComplete: () => boolean
}) {
  const open = new Set<Open>()
  const parents = new Map<string, ReadonlySet<string>>()
  let revision = 0

  function tableFor(one: Open): NamesTable {
    const reachable = one.spec()?.networking?.transparentProxying?.reachableServices
    const all = !reachable?.length || reachable.includes('*')
    const addressesByName = new Map<string, readonly string[]>()
    for (const [name, { service, number }] of deps.names.forMesh(one.mesh)) {
      if (!all && !reachable.includes(service)) continue
      const address = addressFor(number, one.facts.part)
      if (address) addressesByName.set(name, [address])
    }
    return { store: deps.storeId, revision, ttlSeconds, domain, addressesByName }
  }

  /** All names that have others below them. */
  function parentsOf(mesh: string): ReadonlySet<string> {
    const known = parents.get(mesh)
    if (known) return known
    const made = new Set<string>()
    for (const name of deps.names.forMesh(mesh).keys()) {
      for (let at = name.indexOf('.'); at >= 0; at = name.indexOf('.', at + 1)) made.add(name.slice(at + 1))
    }
    parents.set(mesh, made)
    return made
  }

  return {
    /** Names for a proxy with a session. Builtin gateways and zone proxies have none. */
    open(mesh: string, facts: ProxyFacts, spec: () => DataplaneSpec | undefined): NamesFeed {
      const names = createLatest<NamesTable | undefined>(undefined)
      const one: Open = { mesh, facts, spec, names }
      const known = spec()
      if (mesh !== '' && (!known || dataplaneRole(known) !== 'builtin')) {
        open.add(one)
        if (deps.isComplete()) names.set(tableFor(one))
      }
      return { names, close: () => void open.delete(one) }
    },
    changed(meshes: ReadonlySet<string>): void {
      if (!deps.isComplete()) return
      revision += 1
      if (meshes.has(everyMesh)) parents.clear()
      for (const mesh of meshes) parents.delete(mesh)
      for (const one of open) if (meshes.has(everyMesh) || meshes.has(one.mesh)) one.names.set(tableFor(one))
    },
    /** What a proxy may reach has become known. */
    refresh(mesh: string): void {
      if (!deps.isComplete()) return
      for (const one of open) if (one.mesh === mesh) one.names.set(tableFor(one))
    },
    /**
     * The zone resolver's answer: the base is the same for everybody. `nodata` where names stand below only; `unknown` while
     * a zone does not know what it should have.
     */
    lookup(mesh: string, name: string): readonly string[] | 'nodata' | 'unknown' | undefined {
      const entry = deps.names.forMesh(mesh).get(name)
      const address = entry && addressFor(entry.number, undefined)
      if (address) return [address]
      if (!deps.isComplete()) return 'unknown'
      return parentsOf(mesh).has(name) ? 'nodata' : undefined
    },
  }
}
export type NameFeeds = ReturnType<typeof createNameFeeds>
