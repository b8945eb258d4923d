import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { keyText, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Version } from '@zonemesh/shared/store/store.ts'
import { type VirtualAddressSpec, virtualAddress, virtualAddressNumber } from '../kinds/internal.ts'
import { specOf } from '../kinds/row.ts'
import { namesOf, namingKinds } from '../parse.ts'

export interface AddressBookConfig {
  readonly zone: string
  /** How long the number of a service that is gone stays its own. */
  readonly quarantineMs?: number
}

/** Both clocks of one moment: the wall's for people, the monotonic one to measure by. */
export interface Now {
  readonly wallMs: number
  readonly monotonicMs: number
}

/** A service of a mesh, `<mesh>/<service>`; or a host of its gateways that every mesh reaches, `<mesh>/@<hostname>`. */
type Named = string

const defaultQuarantineMs = 600_000
/** Expired rows that go with one commit; the next one takes more. */
const removalsMax = 400

/**
 * Numbers for services: unique in the zone over all meshes, lowest free first, stable while anybody names the service and
 * for a while after, so that a client's memory of an address never leads to another service. Health does not matter: a
 * service that is down keeps its name.
 */
export function createAddressBook({ zone, quarantineMs = defaultQuarantineMs }: AddressBookConfig) {
  const servicesBySource = new Map<string, readonly Named[]>()
  const sourcesByService = new Map<Named, number>()
  const heldByService = new Map<Named, VirtualAddressSpec>()
  const holderByNumber = new Map<number, Named>()
  /**
   * When this process first saw that a service had let go of its number, by its monotonic clock: a wall clock that jumps must not end a
   * quarantine. A restart begins it anew.
   */
  const releaseSeenMs = new Map<Named, number>()
  /** Services whose row does not fit their sources: the next preview repairs them. */
  const stale = new Set<Named>()

  const addressKey = (named: Named): ResourceKey => {
    const split = named.indexOf('/')
    return { origin: zone, kind: 'VirtualAddress', mesh: named.slice(0, split), name: named.slice(split + 1) }
  }
  const numberKey = (number: number): ResourceKey => ({
    origin: zone,
    kind: 'VirtualAddressNumber',
    mesh: '',
    name: String(number),
  })

  function note(named: Named): void {
    const held = heldByService.get(named)
    const serves = held !== undefined && held.releasedAtMs === undefined
    if (serves === (sourcesByService.get(named) ?? 0) > 0) stale.delete(named)
    else stale.add(named)
  }

  function count(services: readonly Named[], step: 1 | -1): void {
    for (const named of services) {
      const now = (sourcesByService.get(named) ?? 0) + step
      if (now === 0) sourcesByService.delete(named)
      else sourcesByService.set(named, now)
      note(named)
    }
  }

  /** How many sources each touched service will have. */
  function sourcesAfter(changes: readonly Change[]): Map<Named, number> {
    const servicesAfter = new Map<string, readonly Named[]>()
    for (const change of changes) {
      if (namingKinds.has(change.key.kind))
        servicesAfter.set(keyText(change.key), change.op === 'put' ? servicesOf(change, zone) : [])
    }
    const after = new Map([...stale].map((named) => [named, sourcesByService.get(named) ?? 0]))
    const step = (services: readonly Named[], by: number) => {
      for (const named of services) after.set(named, (after.get(named) ?? sourcesByService.get(named) ?? 0) + by)
    }
    for (const [text, services] of servicesAfter) {
      step(servicesBySource.get(text) ?? [], -1)
      step(services, 1)
    }
    return after
  }

  /** Gives out numbers, lowest first, that nobody holds or whose holder has been gone for long enough. */
  function createAllocator(monotonicMs: number, taken: Set<number>) {
    let next = 0
    const isFree = (number: number): boolean => {
      if (taken.has(number)) return false
      const holder = holderByNumber.get(number)
      const seenMs = holder === undefined ? undefined : releaseSeenMs.get(holder)
      return holder === undefined || (seenMs !== undefined && monotonicMs - seenMs >= quarantineMs)
    }
    return function allocate(named: Named): Change[] {
      while (!isFree(next)) next += 1
      const number = next
      taken.add(number)
      const former = holderByNumber.get(number)
      const { mesh, name } = addressKey(named)
      return [
        ...(former === undefined ? [] : [{ op: 'delete' as const, key: addressKey(former) }]),
        { op: 'put', key: addressKey(named), labels: {}, spec: { number }, expect: { absent: true } },
        {
          op: 'put',
          key: numberKey(number),
          labels: {},
          spec: { mesh, service: name },
          expect: former === undefined ? { absent: true } : { present: true },
        },
      ]
    }
  }

  /** Services whose quarantine has ended. They were released in the order of the map. */
  function* expired(monotonicMs: number): Generator<Named> {
    for (const [named, seenMs] of releaseSeenMs) {
      if (monotonicMs - seenMs < quarantineMs) return
      yield named
    }
  }

  /** The rows of expired services, except where their number is used again. */
  function removals(monotonicMs: number, taken: ReadonlySet<number>): Change[] {
    const found: Change[] = []
    for (const named of expired(monotonicMs)) {
      const held = heldByService.get(named)
      if (!held || taken.has(held.number)) continue
      found.push({ op: 'delete', key: addressKey(named) })
      if (holderByNumber.get(held.number) === named) found.push({ op: 'delete', key: numberKey(held.number) })
      if (found.length >= removalsMax) break
    }
    return found
  }

  return {
    /** The rows that follow from these changes. Changes nothing here. */
    preview(changes: readonly Change[], now: Now): readonly Change[] {
      const kept: Change[] = []
      const taken = new Set<number>()
      const wanting: Named[] = []
      for (const [named, sources] of [...sourcesAfter(changes)].sort(([a], [b]) => byCodeUnit(a, b))) {
        const held = heldByService.get(named)
        if (sources > 0 && !held) wanting.push(named)
        else if (sources > 0 && held?.releasedAtMs !== undefined) {
          taken.add(held.number)
          kept.push({ op: 'put', key: addressKey(named), labels: {}, spec: { number: held.number } })
        } else if (sources === 0 && held && held.releasedAtMs === undefined) {
          kept.push({
            op: 'put',
            key: addressKey(named),
            labels: {},
            spec: { number: held.number, releasedAtMs: now.wallMs },
          })
        }
      }
      const allocate = createAllocator(now.monotonicMs, taken)
      const allocated = wanting.flatMap(allocate)
      return [...kept, ...allocated, ...removals(now.monotonicMs, taken)]
    },
    /** True if the next preview removes rows, also if nothing else changes. */
    hasExpired: (monotonicMs: number): boolean => !expired(monotonicMs).next().done,
    /** Takes over what was written; also how it loads at start. */
    applied(versions: readonly Version[], monotonicMs: number): void {
      for (const { key, row } of versions) {
        if (namingKinds.has(key.kind)) {
          const text = keyText(key)
          count(servicesBySource.get(text) ?? [], -1)
          const services = row ? servicesOf(row, zone) : []
          count(services, 1)
          if (services.length > 0) servicesBySource.set(text, services)
          else servicesBySource.delete(text)
        }
        if (key.origin !== zone) continue
        if (key.kind === 'VirtualAddress') {
          const named = `${key.mesh}/${key.name}`
          const spec = row && specOf(virtualAddress, row)
          if (spec) heldByService.set(named, spec)
          else heldByService.delete(named)
          if (spec?.releasedAtMs === undefined) releaseSeenMs.delete(named)
          else if (!releaseSeenMs.has(named)) releaseSeenMs.set(named, monotonicMs)
          note(named)
        }
        if (key.kind === 'VirtualAddressNumber') {
          const spec = row && specOf(virtualAddressNumber, row)
          if (spec) holderByNumber.set(Number(key.name), `${spec.mesh}/${spec.service}`)
          else holderByNumber.delete(Number(key.name))
        }
      }
    },
  }
}
export type AddressBook = ReturnType<typeof createAddressBook>

/** The services that a row names. A row that cannot be parsed names none. */
const servicesOf = (row: Omit<Row, 'stamp'>, zone: string): readonly Named[] =>
  namesOf(row, zone).map((name) => `${row.key.mesh}/${name}`)
