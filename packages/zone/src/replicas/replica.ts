import type { AuthorityUseSpec } from '@zonemesh/core/kinds/internal.ts'
import { canonicalJson, type JsonObject } from '@zonemesh/shared/base/base.ts'
import type { ServedStatus } from '@zonemesh/shared/sync/served-status.ts'

/** The state of a proxy that has, or had, a stream with one replica of a zone. */
export interface ReplicaProxy {
  readonly isConnected: boolean
  /** The proxy registered itself by its stream, so its row ends with its lease. */
  readonly isLeased: boolean
  /** When the stream opened, by the wall clock of the replica. */
  readonly sinceMs: number
  /** The newest mark that the proxy has answered in full. */
  readonly served: number
  /** Why the table of the proxy lacks parts; '' if it lacks none. */
  readonly reason: string
  readonly insight: JsonObject
}

/** What a replica knows, without its proxies. */
export interface ReplicaState {
  readonly host: string
  /** The version of its software. Older versions did not publish it. */
  readonly version?: string
  /** The newest mark that it has compiled. */
  readonly compiled: number
  /** Its responsive proxies have answered all tables up to this mark. */
  readonly served: number
  readonly silent: readonly string[]
  readonly lost: readonly string[]
  readonly verdicts: ServedStatus['verdicts']
  /** By mesh: the roots that its proxies trust and show. */
  readonly uses: Readonly<Record<string, AuthorityUseSpec>>
  /** The session with the global, as the status shows it, of the replica that has it. */
  readonly uplink?: JsonObject
}

/** Another live replica. */
export interface OtherReplica extends ReplicaState {
  readonly instance: string
  readonly proxies: ReadonlyMap<string, ReplicaProxy>
}

/** What the replicas of a zone serve together: the parts of a served status that more than one replica decides. */
export interface Served {
  readonly mark: number
  readonly silent: readonly string[]
  readonly verdicts: ServedStatus['verdicts']
}

/** A mark is served when every replica serves it. */
export function servedTogether(own: Served, others: readonly OtherReplica[]): Served {
  const verdicts = new Map<string, ServedStatus['verdicts'][number]>()
  for (const verdict of [...own.verdicts, ...others.flatMap((other) => other.verdicts)]) {
    const id = canonicalJson(verdict)
    if (!verdicts.has(id)) verdicts.set(id, verdict)
  }
  return {
    mark: Math.min(own.mark, ...others.map(({ served }) => served)),
    silent: [...new Set([...own.silent, ...others.flatMap(({ silent }) => silent)])].sort(),
    verdicts: [...verdicts.values()],
  }
}

/** The state of each proxy over all replicas: see `newerProxy`. */
export function proxiesOf(others: readonly Pick<OtherReplica, 'proxies'>[]): ReadonlyMap<string, ReplicaProxy> {
  const found = new Map<string, ReplicaProxy>()
  for (const { proxies } of others) {
    for (const [key, proxy] of proxies) found.set(key, newerProxy(found.get(key), proxy) ?? proxy)
  }
  return found
}

/** The state of one proxy over all replicas: see `newerProxy`. */
export const proxyOf = (others: readonly Pick<OtherReplica, 'proxies'>[], key: string): ReplicaProxy | undefined =>
  others.reduce<ReplicaProxy | undefined>((found, { proxies }) => newerProxy(found, proxies.get(key)), undefined)

/** The one of the replica that the proxy is connected to, else of the replica that it was connected to last. */
export function newerProxy(a: ReplicaProxy | undefined, b: ReplicaProxy | undefined): ReplicaProxy | undefined {
  if (!a || !b) return a ?? b
  const isNewer = a.isConnected === b.isConnected ? b.sinceMs > a.sinceMs : b.isConnected
  return isNewer ? b : a
}

/** The roots that the proxies of all replicas trust, and those that any of them shows. */
export function usedTogether(own: AuthorityUseSpec, others: readonly AuthorityUseSpec[]): AuthorityUseSpec {
  return {
    generation: Math.min(own.generation, ...others.map(({ generation }) => generation)),
    trusts: own.trusts.filter((root) => others.every(({ trusts }) => trusts.includes(root))),
    shows: [...new Set([own, ...others].flatMap(({ shows }) => shows))].sort(),
  }
}
