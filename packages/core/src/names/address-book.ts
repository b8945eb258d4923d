import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { keyText, type ResourceKey, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Version } from '@zonemesh/shared/store/store.ts'
import {
  type VirtualAddressReserveSpec,
  type VirtualAddressSpec,
  virtualAddress,
  virtualAddressNumber,
  virtualAddressReserve,
} from '../kinds/internal.ts'
import { specOf } from '../kinds/row.ts'
import { namesOf, namingKinds } from '../parse.ts'

export interface AddressBookConfig {
  readonly zone: string
  /** How long the number of a removed service stays reserved. */
  readonly quarantineMs?: number
  /** The zone has a global, which grants the numbers that it may use. A standalone zone uses all numbers. */
  readonly isGranted?: boolean
}

/** One moment on both clocks: the wall clock for times that users see, the monotonic clock for durations. */
export interface Now {
  readonly wallMs: number
  readonly monotonicMs: number
  /** The incarnation of the zone's store. */
  readonly incarnation: number
}

/**
 * The numbers that the global grants to a zone when a session opens, and those it remembers from the zone's former
 * reports.
 */
export interface Grant {
  readonly below: number
  readonly before: number
  /** Numbers by `<mesh>/<service>`; undefined if the global remembers none. */
  readonly recalled: ReadonlyMap<string, number> | undefined
  /** The store of the zone is an older copy of one that the global has seen. It lacks the newest numbers. */
  readonly isOlderCopy: boolean
}

/** A service of a mesh, `<mesh>/<service>`, or a gateway host that every mesh reaches, `<mesh>/@<hostname>`. */
type Named = string

const defaultQuarantineMs = 600_000
/** The maximum number of changes for expired rows in one commit; the next commit removes more. */
const removalsMax = 400
/** A zone requests `grantCount` numbers at once, as soon as fewer than `spareMin` are left. */
const grantCount = 512
const spareMin = 128

/**
 * Numbers of services. They are unique in the zone across all meshes, assigned lowest first, and stable while a row
 * names the service and for a while after, so that an address that a client remembers never leads to another service.
 * Health does not matter: a service that is down keeps its number. A zone that loses its store does not know which
 * numbers it has assigned, so the global grants numbers: a new incarnation of the zone uses numbers of the former
 * incarnation only after the quarantine, except for the services that the global remembers.
 */
export function createAddressBook({ zone, quarantineMs = defaultQuarantineMs, isGranted = false }: AddressBookConfig) {
  const servicesBySource = new Map<string, readonly Named[]>()
  const sourcesByService = new Map<Named, number>()
  const heldByService = new Map<Named, VirtualAddressSpec>()
  const holderByNumber = new Map<number, Named>()
  /**
   * When this process first saw the release of a service's number, by its monotonic clock: a wall clock that jumps must
   * not end a quarantine. A restart begins the quarantine again.
   */
  const releaseSeenMs = new Map<Named, number>()
  let reserve: VirtualAddressReserveSpec | undefined
  /**
   * When this process first saw that numbers of former incarnations are closed, by the monotonic clock. Undefined if
   * none are closed.
   */
  let beforeSeenMs: number | undefined
  /** Zones and globals of former builds have no reserve, and so no limit. */
  let isUnlimited = !isGranted
  let changes = 0
  /** Services whose row does not match their sources. The next preview repairs them. */
  const stale = new Set<Named>()

  const addressKey = (named: Named): ResourceKey => {
    const split = named.indexOf('/')
    return { origin: zone, kind: 'VirtualAddress', mesh: named.slice(0, split), name: named.slice(split + 1) }
  }
  const reserveKey: ResourceKey = { origin: zone, kind: virtualAddressReserve.name, mesh: '', name: 'numbers' }
  const isRecovered = ({ incarnation }: Pick<Now, 'incarnation'>): boolean => reserve?.incarnation === incarnation
  /** Numbers below the result are granted to this incarnation. */
  const grantedBelow = ({ incarnation }: Pick<Now, 'incarnation'>): number =>
    reserve?.incarnation === incarnation ? reserve.below : 0
  const isFormerBuild = (): boolean => reserve === undefined && holderByNumber.size > 0
  /** Numbers below the result may be used. */
  function limitAt(now: Pick<Now, 'incarnation'>): number {
    if (isUnlimited || isFormerBuild()) return Number.POSITIVE_INFINITY
    return grantedBelow(now)
  }
  const isClosed = (number: number, monotonicMs: number): boolean =>
    number < (reserve?.before ?? 0) && !isReopened(monotonicMs)
  /** Numbers of former incarnations were closed, and their quarantine has ended. */
  const isReopened = (monotonicMs: number): boolean =>
    beforeSeenMs !== undefined && monotonicMs - beforeSeenMs >= quarantineMs

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

  /** The number of sources of each touched service after the changes. */
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

  /** Whether a number has no holder, or its holder was released long enough ago. */
  function freeAt(monotonicMs: number, taken: ReadonlySet<number>) {
    return (number: number): boolean => {
      if (taken.has(number) || isClosed(number, monotonicMs)) return false
      const holder = holderByNumber.get(number)
      const seenMs = holder === undefined ? undefined : releaseSeenMs.get(holder)
      return holder === undefined || (seenMs !== undefined && monotonicMs - seenMs >= quarantineMs)
    }
  }

  /** Assigns free numbers, lowest first. A service gets no number if none is free below the limit. */
  function createAllocator(now: Now, taken: Set<number>) {
    let next = 0
    const isFree = freeAt(now.monotonicMs, taken)
    const limit = limitAt(now)
    return function allocate(named: Named): Change[] {
      while (next < limit && !isFree(next)) next += 1
      if (next >= limit) return []
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

  /** Services whose quarantine has ended. The map is in the order of release. */
  function* expired(monotonicMs: number): Generator<Named> {
    for (const [named, seenMs] of releaseSeenMs) {
      if (monotonicMs - seenMs < quarantineMs) return
      yield named
    }
  }

  /** Removes the rows of expired services, unless their number is used again. */
  function removals(monotonicMs: number, taken: ReadonlySet<number>): Change[] {
    const found: Change[] = []
    for (const named of expired(monotonicMs)) {
      const held = heldByService.get(named)
      if (!held || taken.has(held.number)) continue
      found.push({ op: 'delete', key: addressKey(named) })
      if (holderByNumber.get(held.number) === named) found.push({ op: 'delete', key: numberKey(held.number) })
      if (found.length >= removalsMax) break
    }
    if (reserve && isReopened(monotonicMs))
      found.push({ op: 'put', key: reserveKey, labels: {}, spec: { ...reserve, before: 0 } })
    return found
  }

  /** The rows of a name and of its number. */
  const rowsOf = (named: Named, number: number): Change[] => {
    const key = addressKey(named)
    return [
      { op: 'put', key, labels: {}, spec: { number } },
      { op: 'put', key: numberKey(number), labels: {}, spec: { mesh: key.mesh, service: key.name } },
    ]
  }

  /**
   * Adopts the numbers that the global remembers and drops all others, because they may belong to other services by
   * now. Also drops a number that this store gives to another service: both services may have answered with it.
   */
  function recover(recalled: ReadonlyMap<string, number>): Change[] {
    const adopted = new Map<number, Named>()
    for (const [named, number] of recalled) {
      const holder = holderByNumber.get(number)
      if (!adopted.has(number) && (holder === undefined || holder === named)) adopted.set(number, named)
    }
    const names = new Set(adopted.values())
    const dropped = [
      ...[...heldByService.keys()].filter((named) => !names.has(named)).map(addressKey),
      ...[...holderByNumber.keys()].filter((number) => !adopted.has(number)).map(numberKey),
    ]
    return [
      ...dropped.map((key): Change => ({ op: 'delete', key })),
      ...[...adopted].flatMap(([number, named]) => rowsOf(named, number)),
    ]
  }

  function isShort(now: Now): boolean {
    if (isUnlimited) return false
    if (isFormerBuild()) return true
    const closed = isReopened(now.monotonicMs) ? 0 : (reserve?.before ?? 0)
    return limitAt(now) - closed - holderByNumber.size < spareMin
  }

  return {
    /** The rows that follow from these changes. Does not change any state. */
    preview(changes: readonly Change[], now: Now): readonly Change[] {
      // A grant may drop rows. The next commit derives from what it leaves.
      const isGrant = changes.some(({ key }) => key.origin === zone && key.kind === virtualAddressReserve.name)
      if (limitAt(now) === 0 || isGrant) return []
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
      const allocate = createAllocator(now, taken)
      const allocated = wanting.flatMap(allocate)
      return [...kept, ...allocated, ...removals(now.monotonicMs, taken)]
    },
    /** True if the next preview removes rows even without other changes. */
    hasExpired: (monotonicMs: number): boolean => !expired(monotonicMs).next().done || isReopened(monotonicMs),
    /** The request to the global when a session opens. */
    request(now: Now): { readonly below: number; readonly count: number } {
      if (isFormerBuild()) return { below: Math.max(...holderByNumber.keys()) + 1, count: grantCount }
      return { below: grantedBelow(now), count: isShort(now) ? grantCount : 0 }
    },
    /** Whether few or no numbers are left. Another session brings more. */
    isShort,
    /**
     * The rows that follow from a grant; empty if nothing changes. An undefined grant means that the global is of a
     * former build and grants nothing.
     */
    granted(grant: Grant | undefined, now: Now): readonly Change[] {
      isUnlimited = grant === undefined
      if (!grant) return []
      const { incarnation } = now
      const put = (before: number): Change => ({
        op: 'put',
        key: reserveKey,
        labels: {},
        spec: { incarnation, below: grant.below, before },
      })
      if (isRecovered(now)) return reserve?.below === grant.below ? [] : [put(reserve?.before ?? 0)]
      if (isFormerBuild() && grant.before === 0) return [put(0)]
      // A store that is complete contains all numbers that the zone has assigned.
      if (reserve && !grant.isOlderCopy) return [put(grant.before)]
      return [put(grant.before), ...recover(grant.recalled ?? new Map())]
    },
    /** Whether services lack a number, or keep one that they no longer need. */
    isWaiting: (): boolean => stale.size > 0,
    /** Counts the changes of `numbers`. */
    changes: (): number => changes,
    /** The numbers of services, by `<mesh>/<service>`. */
    numbers: (): ReadonlyMap<string, number> =>
      new Map([...heldByService].map(([named, { number }]) => [named, number])),
    /** Applies written versions. It also loads the state at start. */
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
          changes += 1
          if (spec) heldByService.set(named, spec)
          else heldByService.delete(named)
          if (spec?.releasedAtMs === undefined) releaseSeenMs.delete(named)
          else if (!releaseSeenMs.has(named)) releaseSeenMs.set(named, monotonicMs)
          note(named)
        }
        if (key.kind === virtualAddressReserve.name) {
          reserve = row && specOf(virtualAddressReserve, row)
          if ((reserve?.before ?? 0) === 0) beforeSeenMs = undefined
          else beforeSeenMs ??= monotonicMs
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

/** The services that a row names. A row that cannot be parsed names no service. */
const servicesOf = (row: Omit<Row, 'stamp'>, zone: string): readonly Named[] =>
  namesOf(row, zone).map((name) => `${row.key.mesh}/${name}`)
