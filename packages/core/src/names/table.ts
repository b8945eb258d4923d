import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import { because, type Decided } from '../kinds/because.ts'
import { displayNameLabel } from '../kinds/common.ts'
import { crossMeshHosts, hostOfAddress } from '../kinds/cross-mesh.ts'
import { virtualAddress } from '../kinds/internal.ts'
import { meshGateway } from '../kinds/mesh-gateway.ts'
import { parseAs, specOf } from '../kinds/row.ts'
import { servicePorts } from './ports.ts'

export interface NamedService extends Decided {
  readonly service: string
  readonly number: number
  readonly ports: readonly number[]
}

/** name → service, for one mesh. All names are in lower case. The names of services end in the domain. */
export type NamesTable = ReadonlyMap<string, NamedService>

/** A number, and the row that assigns it. */
interface Numbered {
  readonly number: number
  readonly row: string
}

export const domain = 'mesh'
/** Stands for all meshes in the list of meshes whose names changed. */
export const everyMesh = '*'

/**
 * The names of services, derived from their virtual addresses, and the names of gateway hosts that every mesh reaches.
 * The name of a released address does not resolve.
 */
export function createNames() {
  const numbersByMesh = new Map<string, Map<string, Numbered>>()
  const tables = new Map<string, NamesTable>()
  const serviceByHost = createHostServices()
  let hosts: NamesTable | undefined

  /** The gateway hosts of all meshes. If two meshes have the same hostname, the first mesh by name gets it. */
  function hostsTable(): NamesTable {
    const table = new Map<string, NamedService>()
    for (const [mesh, numbers] of [...numbersByMesh].sort(([a], [b]) => byCodeUnit(a, b))) {
      for (const [name, { number, row }] of numbers) {
        const hostname = hostOfAddress(name)
        const found = hostname === undefined ? undefined : serviceByHost.of(mesh, hostname)
        if (hostname === undefined || !found || table.has(hostname)) continue
        table.set(hostname, { ...found, number, because: because(row, ...found.because) })
      }
    }
    return table
  }

  return {
    /** Applies changes and returns the meshes whose names changed. */
    apply(versions: readonly Version[]): ReadonlySet<string> {
      const changed = new Set<string>()
      for (const version of versions) {
        const { key, row } = version
        if (key.kind === 'MeshGateway' && serviceByHost.apply(version)) changed.add(everyMesh)
        if (key.kind !== 'VirtualAddress') continue
        const spec = row && specOf(virtualAddress, row)
        const number = spec?.releasedAtMs === undefined ? spec?.number : undefined
        const numbers = numbersByMesh.get(key.mesh) ?? new Map<string, Numbered>()
        if (numbers.get(key.name)?.number === number) continue
        if (number === undefined) numbers.delete(key.name)
        else numbers.set(key.name, { number, row: keyText(key) })
        numbersByMesh.set(key.mesh, numbers)
        changed.add(hostOfAddress(key.name) === undefined ? key.mesh : everyMesh)
      }
      for (const mesh of changed) tables.delete(mesh)
      if (changed.has(everyMesh)) {
        tables.clear()
        hosts = undefined
      }
      return changed
    },
    /** The names of a mesh; the same object until they change. */
    forMesh(mesh: string): NamesTable {
      hosts ??= hostsTable()
      const numbers = numbersByMesh.get(mesh)
      if (!numbers) return hosts
      const table = tables.get(mesh) ?? tableOf(numbers, hosts)
      tables.set(mesh, table)
      return table
    },
    /** Meshes that have names. */
    meshes: (): readonly string[] => {
      hosts ??= hostsTable()
      return [...numbersByMesh.keys(), ...(hosts.size > 0 ? [everyMesh] : [])].sort()
    },
  }
}
export type Names = ReturnType<typeof createNames>

type HostService = Omit<NamedService, 'number'>

/** The service and ports behind each gateway host, derived from the MeshGateways. */
function createHostServices() {
  /** Key text of a gateway → its hosts. */
  const byGateway = new Map<string, ReadonlyMap<string, HostService>>()
  const serviceByHost = new Map<string, HostService>()
  const placeOf = (mesh: string, hostname: string) => `${mesh}/${hostname}`

  function hostsOf({ key, row }: Version): ReadonlyMap<string, HostService> {
    const found = new Map<string, HostService>()
    const gateway = row && parseAs(meshGateway, row)
    if (!gateway?.ok) return found
    const { labels, spec } = gateway.value
    const because = [keyText(key)]
    for (const { hostname, service, port } of crossMeshHosts(key.mesh, labels[displayNameLabel] ?? key.name, spec)) {
      const place = placeOf(key.mesh, hostname)
      found.set(place, { service, ports: [...(found.get(place)?.ports ?? []), port], because })
    }
    return found
  }

  return {
    of: (mesh: string, hostname: string): HostService | undefined => serviceByHost.get(placeOf(mesh, hostname)),
    /** Returns true if hosts may have changed. */
    apply(version: Version): boolean {
      const text = keyText(version.key)
      const hosts = hostsOf(version)
      const before = byGateway.get(text)
      if (hosts.size === 0 && !before) return false
      if (hosts.size > 0) byGateway.set(text, hosts)
      else byGateway.delete(text)
      serviceByHost.clear()
      for (const [, one] of [...byGateway].sort(([a], [b]) => byCodeUnit(a, b)))
        for (const [place, service] of one) if (!serviceByHost.has(place)) serviceByHost.set(place, service)
      return true
    },
  }
}

/**
 * The names `<service>.mesh`, and each name again with dots for underscores. If two services have the same name, the
 * first one by name gets it. Services take precedence over gateway hosts.
 */
function tableOf(numbers: ReadonlyMap<string, Numbered>, hosts: NamesTable): NamesTable {
  const table = new Map<string, NamedService>()
  for (const [service, { number, row }] of [...numbers].sort(([a], [b]) => byCodeUnit(a, b))) {
    if (hostOfAddress(service) !== undefined) continue
    const named = { service, number, ports: servicePorts(service), because: [row] }
    const plain = `${service}.${domain}`.toLowerCase()
    for (const name of [plain, plain.replaceAll('_', '.')]) if (!table.has(name)) table.set(name, named)
  }
  for (const [name, named] of hosts) if (!table.has(name)) table.set(name, named)
  return table
}

/** The first virtual address, unless a proxy runs without changes to its host. */
export const defaultBase = '240.0.0.0'

/** The address of this number, counted from a base address. */
export function addressOf(number: number, base: string = defaultBase): string {
  const first = base.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  return [24, 16, 8, 0].map((shift) => Math.floor((first + number) / 2 ** shift) % 256).join('.')
}
