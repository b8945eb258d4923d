import type { ProxyFacts } from '@zonemesh/core/emit/table.ts'
import { type DataplaneSpec, dataplaneRole } from '@zonemesh/core/kinds/dataplane-spec.ts'
import { addressOf, everyMesh, type Names } from '@zonemesh/core/names/table.ts'
import { createLatest, type Latest } from '@zonemesh/shared/streams/latest.ts'
import type { NamesFeed, NamesTable } from './names-feed.ts'

export const domain = 'mesh'
export const ttlSeconds = 30
const virtualBase = '240.0.0.0'
const partSize = 4096

/** The address of a number for a proxy: in the /20 of 127.128.0.0/9 that it claimed, or from the common base. */
function addressFor(number: number, part: number | undefined): string | undefined {
  if (part === undefined) return addressOf(number, virtualBase)
  return number < partSize ? addressOf(number + part * partSize, '127.128.0.0') : undefined
}

interface OpenFeed {
  readonly mesh: string
  readonly facts: ProxyFacts
  readonly spec: () => DataplaneSpec | undefined
  readonly names: Latest<NamesTable | undefined>
}

/** Keeps the names table of each proxy up to date: the names of its mesh for which it has listeners. */
export function createNameFeeds(deps: {
  readonly names: Names
  readonly storeId: string
  /** Before the zone is complete, an absent name may only not have arrived yet. */
  readonly isComplete: () => boolean
}) {
  const open = new Set<OpenFeed>()
  const parents = new Map<string, ReadonlySet<string>>()
  let revision = 0

  function tableFor(feed: OpenFeed): NamesTable {
    const reachable = feed.spec()?.networking?.transparentProxying?.reachableServices
    const all = !reachable?.length || reachable.includes('*')
    const addressesByName = new Map<string, readonly string[]>()
    for (const [name, { service, number }] of deps.names.forMesh(feed.mesh)) {
      if (!all && !reachable.includes(service)) continue
      const address = addressFor(number, feed.facts.part)
      if (address) addressesByName.set(name, [address])
    }
    return { store: deps.storeId, revision, ttlSeconds, domain, addressesByName }
  }

  /** All names with other names below them. */
  function parentsOf(mesh: string): ReadonlySet<string> {
    const cached = parents.get(mesh)
    if (cached) return cached
    const made = new Set<string>()
    for (const name of deps.names.forMesh(mesh).keys()) {
      for (let at = name.indexOf('.'); at >= 0; at = name.indexOf('.', at + 1)) made.add(name.slice(at + 1))
    }
    parents.set(mesh, made)
    return made
  }

  return {
    /** Opens the names table of a proxy with a session. Builtin gateways and zone proxies receive no names. */
    open(mesh: string, facts: ProxyFacts, spec: () => DataplaneSpec | undefined): NamesFeed {
      const names = createLatest<NamesTable | undefined>(undefined)
      const feed: OpenFeed = { mesh, facts, spec, names }
      const current = spec()
      if (mesh !== '' && (!current || dataplaneRole(current) !== 'builtin')) {
        open.add(feed)
        if (deps.isComplete()) names.set(tableFor(feed))
      }
      return { names, close: () => void open.delete(feed) }
    },
    changed(meshes: ReadonlySet<string>): void {
      if (!deps.isComplete()) return
      revision += 1
      if (meshes.has(everyMesh)) parents.clear()
      for (const mesh of meshes) parents.delete(mesh)
      for (const feed of open) if (meshes.has(everyMesh) || meshes.has(feed.mesh)) feed.names.set(tableFor(feed))
    },
    /** The spec of a proxy of this mesh has changed, and with it the services that it may reach. */
    refresh(mesh: string): void {
      if (!deps.isComplete()) return
      for (const feed of open) if (feed.mesh === mesh) feed.names.set(tableFor(feed))
    },
    /**
     * The answer of the zone's resolver, always from the common base. `nodata`: only names below this one exist.
     * `unknown`: the zone is not complete yet, so the name may exist.
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
