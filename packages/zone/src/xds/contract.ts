import type { ProxyFacts, TypeUrl } from '@zonemesh/core/emit/table.ts'
import type { DataplaneSpec } from '@zonemesh/core/kinds/dataplane-spec.ts'
import type { JsonObject, Result } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import type { ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import type { Latest } from '@zonemesh/shared/streams/latest.ts'
import type { NamesFeed } from '../names/names-feed.ts'
import type { AdsEffect, AdsEvent, Refusal, ResolvedTable } from './ads-state.ts'
import type { BootstrapDeps } from './bootstrap-http.ts'

export type ProxyType = 'dataplane' | 'ingress' | 'egress'

export interface ProxyIdentity {
  readonly type: ProxyType
  /** Empty for zone proxies. */
  readonly mesh: string
  readonly name: string
}

/** Envoy's node id: unique per zone among proxies of one type. */
export const proxyId = (proxy: ProxyIdentity): string => `${proxy.mesh}.${proxy.name}`

export const kindOfType: Readonly<Record<ProxyType, string>> = {
  dataplane: 'Dataplane',
  ingress: 'ZoneIngress',
  egress: 'ZoneEgress',
}

/** The row that a proxy stands behind. */
export const proxyKey = (zone: string, { type, mesh, name }: ProxyIdentity): ResourceKey => ({
  origin: zone,
  kind: kindOfType[type],
  mesh,
  name,
})

/** What a token that was found good allows. */
export interface Credentials {
  /** Whether its holder may register, replace or remove a proxy of this spec; else why not. */
  covers(spec: DataplaneSpec): Result<void, string>
}

/** One live ADS stream. */
export interface ProxyStream {
  readonly id: string
  readonly proxy: ProxyIdentity
  /** The Dataplane, ZoneIngress or ZoneEgress that the proxy brings; undefined if the entity exists already. */
  readonly resource: JsonObject | undefined
  readonly credentials: Credentials
  readonly facts: ProxyFacts
  /** The node's metadata as sent: version, features, admin. */
  readonly metadata: JsonObject
  readonly connectedAtMs: number
}

/** A proxy's tables, newest only. */
export interface ProxyFeed {
  /** Undefined until the first table is made. Secrets are in it: a table whose secrets are not ready is not set yet. */
  readonly table: Latest<ResolvedTable | undefined>
  close(): void
}

/** What the zone does for the door of its proxies. */
export interface XdsDeps {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  readonly bootstrap: BootstrapDeps
  /** Checks a token for a proxy. It must cover the row that is stored, and `resource`, which the proxy wants to register. */
  authenticate(
    token: string | undefined,
    proxy: ProxyIdentity,
    resource: JsonObject | undefined,
  ): Promise<Result<Credentials, string>>
  /** Watches the token of a proxy that was let in with it: `end` is called once, with the reason, when it is revoked. */
  holdToken(token: string | undefined, proxy: ProxyIdentity, end: (reason: string) => void): Disposable
  /** Registers a proxy: its row is committed when this resolves, before its first table is asked for. The stream is its lease. */
  opened(stream: ProxyStream): Promise<Result<void, string>>
  /** The stream is gone. Called once for each `opened` that succeeded; never means that the row goes at once. */
  closed(stream: ProxyStream): void
  openTables(proxy: ProxyIdentity): ProxyFeed
  /** A resource was refused: exclude its contributions and make a new table. `bind` refusals are for status only. */
  refused(proxy: ProxyIdentity, refusal: Refusal): void
  /** It stands refused no more. */
  absolved(proxy: ProxyIdentity, resource: { readonly typeUrl: TypeUrl; readonly name: string }): void
  served(proxy: ProxyIdentity, mark: number): void
  /** Sees everything that goes over a stream, in order. For tests and for debugging. */
  trace?(stream: ProxyStream, entry: AdsEvent | AdsEffect): void
  openNames(proxy: ProxyIdentity, facts: ProxyFacts): NamesFeed
  /** SIGTERM at the proxy: resolves when its row is gone, or with the reason why its session may not remove it. */
  draining(proxy: ProxyIdentity, credentials: Credentials): Promise<Result<void, string>>
  /** Ignored unless the credentials cover the stored row. */
  envoyExited(
    proxy: ProxyIdentity,
    credentials: Credentials,
    exit: { readonly code: number; readonly signal: string },
  ): Promise<void>
}
