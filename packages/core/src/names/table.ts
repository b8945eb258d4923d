import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import type { VirtualAddressSpec } from '../kinds/internal.ts'
import { servicePorts } from './ports.ts'

export interface NamedService {
  readonly service: string
  readonly number: number
  readonly ports: readonly number[]
}

/** name → service, of one mesh. All names are in lower case and end in the domain. */
export type NamesTable = ReadonlyMap<string, NamedService>

export const domain = 'mesh'
const empty: NamesTable = new Map()

/** The names of services, from their virtual addresses. A released address resolves no more. */
export function createNames() {
  const numbersByMesh = new Map<string, Map<string, number>>()
  const tables = new Map<string, NamesTable>()
  return {
    /** Takes over what changed; returns the meshes whose names are other ones now. */
    apply(versions: readonly Version[]): ReadonlySet<string> {
      const changed = new Set<string>()
      for (const { key, row } of versions) {
        if (key.kind !== 'VirtualAddress') continue
        // The zone writes these rows itself.
        const spec = row?.spec as VirtualAddressSpec | undefined
        const number = spec?.releasedAtMs === undefined ? spec?.number : undefined
        const numbers = numbersByMesh.get(key.mesh) ?? new Map<string, number>()
        if (numbers.get(key.name) === number) continue
        if (number === undefined) numbers.delete(key.name)
        else numbers.set(key.name, number)
        numbersByMesh.set(key.mesh, numbers)
        changed.add(key.mesh)
      }
      for (const mesh of changed) tables.delete(mesh)
      return changed
    },
    /** The names of a mesh; the same object until they change. */
    forMesh(mesh: string): NamesTable {
      const numbers = numbersByMesh.get(mesh)
      if (!numbers) return empty
      const table = tables.get(mesh) ?? tableOf(numbers)
      tables.set(mesh, table)
      return table
    },
    /** Meshes that have names. */
    meshes: (): readonly string[] => [...numbersByMesh.keys()].sort(),
  }
}
export type Names = ReturnType<typeof createNames>

/** `<service>.mesh` and the same with dots for underscores. Of two services with one name the first by name has it. */
function tableOf(numbers: ReadonlyMap<string, number>): NamesTable {
  const table = new Map<string, NamedService>()
  for (const [service, number] of [...numbers].sort(([a], [b]) => byCodeUnit(a, b))) {
    const named = { service, number, ports: servicePorts(service) }
    const plain = `${service}.${domain}`.toLowerCase()
    for (const name of [plain, plain.replaceAll('_', '.')]) if (!table.has(name)) table.set(name, named)
  }
  return table
}

/** Where virtual addresses begin, unless a proxy has to do without changes to its host. */
export const defaultBase = '240.0.0.0'

/** The address with this number, counted from a base address. */
export function addressOf(number: number, base: string = defaultBase): string {
  const first = base.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  return [24, 16, 8, 0].map((shift) => Math.floor((first + number) / 2 ** shift) % 256).join('.')
}
