import { type TypeUrl, typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import type { AdsEffect, AdsRequest } from '../../src/xds/ads-state.ts'

type Send = Extract<AdsEffect, { type: 'send' }>
const { cluster: CDS, assignment: EDS, secret: SDS, listener: LDS, route: RDS } = typeUrls
const wildcard: readonly string[] = [CDS, LDS]

export const isBad = (resource: XdsResource): boolean => resource.version.startsWith('bad')
const isSlow = (resource: XdsResource): boolean => resource.bytes.length > 0

interface Warming {
  readonly resource: XdsResource
  /** Its assignment has not come since it changed. */
  waitsForAssignment: boolean
  /** Health checks or DNS; the world decides when they are done. */
  waitsForWorld: boolean
}

/**
 * A model of Envoy as a delta ADS client: it applies, acks, refuses bad resources, keeps warming resources apart, and
 * records everything that a control plane must never cause.
 */
export class ModelEnvoy {
  readonly violations: string[] = []
  /** Requests that the server has not read yet. */
  outbox: AdsRequest[] = []
  readonly held = new Map<TypeUrl, Map<string, XdsResource>>()
  /** What is in `initial_resource_versions`: not what came in a refused answer. */
  readonly #listed = new Map<TypeUrl, Map<string, string>>()
  readonly warming = new Map<string, Warming>()
  readonly #watched = new Map<TypeUrl, Set<string>>()
  /** Types of which something was ever watched: Envoy drops answers of all others without a verdict. */
  readonly #everWatched = new Set<TypeUrl>()
  #heldAcks: AdsRequest[] = []
  #clustersSeen = false
  #listenersAsked = false
  readonly #chance: () => number
  readonly #isProven: (version: string) => boolean

  constructor(chance: () => number, isProven: (version: string) => boolean) {
    this.#chance = chance
    this.#isProven = isProven
    for (const typeUrl of Object.values(typeUrls)) {
      this.held.set(typeUrl, new Map())
      this.#listed.set(typeUrl, new Map())
      this.#watched.set(typeUrl, new Set())
    }
  }

  /** Opens a stream: CDS only if nothing warms, LDS only once it was asked for before. */
  connect(): void {
    this.outbox = []
    this.#heldAcks = []
    const first = (typeUrl: TypeUrl, names: readonly string[]) =>
      this.#request(typeUrl, { subscribe: names, initial: Object.fromEntries(this.#listedOf(typeUrl)) })
    if (!this.#clustersSeen || this.warming.size === 0) first(CDS, [])
    for (const typeUrl of [EDS, LDS, RDS, SDS] as const) {
      const names = [...this.#watchedOf(typeUrl)]
      if (typeUrl === LDS ? this.#listenersAsked : names.length > 0) first(typeUrl, typeUrl === LDS ? [] : names)
    }
    this.#pausedFirst = this.#clustersSeen && this.warming.size > 0
  }
  #pausedFirst = false

  receive(send: Send): void {
    // X25
    if (!wildcard.includes(send.typeUrl) && !this.#everWatched.has(send.typeUrl)) return
    if (send.changed.some((one) => send.removed.includes(one.name)))
      this.#violate(`a name is both given and taken: ${describe(send)}`)
    if (!wildcard.includes(send.typeUrl) && send.changed.length > 1) {
      for (const one of send.changed) {
        if (one.version !== 'empty' && !this.#isProven(one.version))
          this.#violate(`unproven in company: ${describe(send)}`)
      }
    }
    const refusedNames = send.changed.filter((one) => this.#refuses(send.typeUrl, one)).map((one) => one.name)
    const partial = refusedNames.length > 0 && !wildcard.includes(send.typeUrl)
    for (const one of send.changed) {
      if (refusedNames.includes(one.name) || (partial && this.#chance() < 0.5)) continue
      this.#apply(send.typeUrl, one)
      if (refusedNames.length === 0) this.#listedOf(send.typeUrl).set(one.name, one.version)
    }
    for (const name of send.removed) this.#remove(send.typeUrl, name, refusedNames.length === 0)
    if (partial) this.#endWarming(send.typeUrl)
    const error = refusedNames.length > 0 ? { error: `refused: ${refusedNames.join()}` } : {}
    const verdict = { nonce: send.nonce, ...error }
    if (send.typeUrl === CDS && this.#clustersSeen) this.#heldAcks.push(this.#make(CDS, verdict))
    else this.#request(send.typeUrl, verdict)
    if (send.typeUrl === CDS) this.#clustersSeen = true
    this.#release()
  }

  /** Health checks and DNS answer now. */
  warmUp(): void {
    for (const entry of this.warming.values()) entry.waitsForWorld = false
    this.#release()
  }

  #refuses(typeUrl: TypeUrl, resource: XdsResource): boolean {
    if (isBad(resource)) return true
    if (typeUrl !== LDS) return false
    return (resource.clusters ?? []).some((name) => !this.#knows(name))
  }

  readonly #knows = (name: string): boolean => this.held.get(CDS)?.has(name) === true || this.warming.has(name)

  #apply(typeUrl: TypeUrl, resource: XdsResource): void {
    if (typeUrl === CDS) {
      this.#applyCluster(resource)
      return
    }
    const watched = this.#watchedOf(typeUrl)
    if (!wildcard.includes(typeUrl) && !watched.has(resource.name)) return
    if (typeUrl === EDS) {
      for (const entry of this.warming.values())
        if (entry.resource.assignment === resource.name) entry.waitsForAssignment = false
    }
    this.#heldOf(typeUrl).set(resource.name, resource)
    if (typeUrl === LDS) this.#watch(RDS, resource.routes)
  }

  #applyCluster(resource: XdsResource): void {
    const same =
      (this.warming.get(resource.name)?.resource ?? this.#heldOf(CDS).get(resource.name))?.version === resource.version
    if (same) return
    this.warming.set(resource.name, {
      resource,
      waitsForAssignment: resource.assignment !== undefined,
      waitsForWorld: isSlow(resource),
    })
    if (resource.assignment !== undefined) this.#watch(EDS, [resource.assignment])
    this.#watch(SDS, resource.secrets)
  }

  #remove(typeUrl: TypeUrl, name: string, listed: boolean): void {
    if (listed) this.#listedOf(typeUrl).delete(name)
    if (typeUrl === EDS || typeUrl === SDS) {
      for (const entry of this.warming.values()) {
        if (typeUrl !== EDS || entry.resource.assignment !== name || !entry.waitsForAssignment) continue
        entry.waitsForAssignment = false
        if (this.#heldOf(CDS).has(entry.resource.name))
          this.#violate(`a removal empties the live cluster ${entry.resource.name}`)
      }
      return
    }
    if (typeUrl === RDS) {
      this.#violate(`a route table was removed: ${name}`)
      return
    }
    this.#heldOf(typeUrl).delete(name)
    if (typeUrl === CDS) this.warming.delete(name)
    if (typeUrl === CDS && this.usedClusters().has(name)) this.#violate(`cluster ${name} is removed while it is used`)
    this.#unwatch()
  }

  /** The clusters that its listeners and their tables name. */
  usedClusters(): Set<string> {
    const used = new Set<string>()
    for (const listener of this.#heldOf(LDS).values()) {
      for (const name of listener.clusters ?? []) used.add(name)
      for (const table of listener.routes ?? [])
        for (const name of this.#heldOf(RDS).get(table)?.clusters ?? []) used.add(name)
    }
    return used
  }

  /** X12: everything that waits in this type goes on with nothing. */
  #endWarming(typeUrl: TypeUrl): void {
    if (typeUrl !== EDS) return
    for (const { assignment } of [...this.warming.values()]
      .filter((entry) => entry.waitsForAssignment)
      .map((entry) => entry.resource)) {
      if (assignment !== undefined) this.#heldOf(EDS).delete(assignment)
    }
    for (const entry of this.warming.values()) entry.waitsForAssignment = false
  }

  /** Clusters that wait for nothing become active; when none warms, the paused acks go out. */
  #release(): void {
    for (const [name, entry] of this.warming) {
      if (entry.waitsForAssignment || entry.waitsForWorld) continue
      this.warming.delete(name)
      this.#heldOf(CDS).set(name, entry.resource)
      this.#unwatch()
    }
    if (this.warming.size > 0) return
    if (this.#pausedFirst) {
      this.#pausedFirst = false
      this.#request(CDS, { initial: Object.fromEntries(this.#listedOf(CDS)) })
    }
    this.outbox.push(...this.#heldAcks.splice(0))
    if (this.#clustersSeen && !this.#listenersAsked) {
      this.#listenersAsked = true
      this.#request(LDS, {})
    }
  }

  #watch(typeUrl: TypeUrl, names: readonly string[] | undefined): void {
    const watched = this.#watchedOf(typeUrl)
    const fresh = (names ?? []).filter((name) => !watched.has(name))
    for (const name of fresh) watched.add(name)
    if (fresh.length > 0) this.#everWatched.add(typeUrl)
    if (fresh.length > 0) this.#request(typeUrl, { subscribe: fresh })
  }

  #unwatch(): void {
    const clusters = [...this.#heldOf(CDS).values(), ...[...this.warming.values()].map((entry) => entry.resource)]
    this.#keepOnly(EDS, new Set(clusters.flatMap((cluster) => cluster.assignment ?? [])))
    this.#keepOnly(SDS, new Set(clusters.flatMap((cluster) => cluster.secrets ?? [])))
    this.#keepOnly(RDS, new Set([...this.#heldOf(LDS).values()].flatMap((listener) => listener.routes ?? [])))
  }

  #keepOnly(typeUrl: TypeUrl, needed: ReadonlySet<string>): void {
    const gone = [...this.#watchedOf(typeUrl)].filter((name) => !needed.has(name))
    for (const name of gone) {
      this.#watchedOf(typeUrl).delete(name)
      this.#heldOf(typeUrl).delete(name)
      this.#listedOf(typeUrl).delete(name)
    }
    if (gone.length > 0) this.#request(typeUrl, { unsubscribe: gone })
  }

  #make(typeUrl: TypeUrl, part: Partial<AdsRequest>): AdsRequest {
    return { typeUrl, nonce: '', subscribe: [], unsubscribe: [], initial: {}, ...part }
  }

  #request(typeUrl: TypeUrl, part: Partial<AdsRequest>): void {
    this.outbox.push(this.#make(typeUrl, part))
  }

  #violate(text: string): void {
    this.violations.push(text)
  }

  readonly #heldOf = (typeUrl: TypeUrl): Map<string, XdsResource> => mapOf(this.held, typeUrl)
  readonly #listedOf = (typeUrl: TypeUrl): Map<string, string> => mapOf(this.#listed, typeUrl)
  readonly #watchedOf = (typeUrl: TypeUrl): Set<string> => mapOf(this.#watched, typeUrl)
}

function mapOf<V>(map: ReadonlyMap<TypeUrl, V>, typeUrl: TypeUrl): V {
  const found = map.get(typeUrl)
  if (found === undefined) throw new Error(`no ${typeUrl}`)
  return found
}

const describe = (send: Send): string =>
  `${send.typeUrl.split('.').at(-1)} ${send.changed.map((one) => `${one.name}@${one.version}`).join()} -${send.removed.join()}`
