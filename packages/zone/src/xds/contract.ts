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

/** The key of the row of a proxy. */
export const proxyKey = (zone: string, { type, mesh, name }: ProxyIdentity): ResourceKey => ({
  origin: zone,
  kind: kindOfType[type],
  mesh,
  name,
})

/** The rights from a valid token. */
export interface Credentials {
  /** Whether the holder may register, replace or remove a proxy with this spec, or the reason why not. */
  covers(spec: DataplaneSpec): Result<void, string>
}

/** One live ADS stream. */
export interface ProxyStream {
  readonly id: string
  readonly proxy: ProxyIdentity
  /** The Dataplane, ZoneIngress or ZoneEgress that the proxy sends; undefined if it uses an existing one. */
  readonly resource: JsonObject | undefined
  readonly credentials: Credentials
  readonly facts: ProxyFacts
  /** The node's metadata as sent: version, features, admin. */
  readonly metadata: JsonObject
  readonly connectedAtMs: number
}

/** The newest table of a proxy. */
export interface ProxyFeed {
  /**
   * Undefined until the first table is published. A table contains its secrets and is published when they are ready.
   */
  readonly table: Latest<ResolvedTable | undefined>
  close(): void
}

export interface XdsObserver {
  /** A stream was admitted. */
  streamOpened(): void
  /** Everything that follows from one event was encoded and written. */
  flushed(durationMs: number): void
  sent(typeUrl: TypeUrl): void
  /** An Envoy refused a resource. */
  refused(typeUrl: TypeUrl): void
}

/** The zone, as the xDS server needs it. */
export interface XdsDeps {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  readonly bootstrap: BootstrapDeps
  readonly observer?: XdsObserver | undefined
  /** Verifies the token of a proxy. It must cover the stored row, and `resource`, which the proxy registers. */
  authenticate(
    token: string | undefined,
    proxy: ProxyIdentity,
    resource: JsonObject | undefined,
  ): Promise<Result<Credentials, string>>
  /** Watches the token of an admitted proxy. Calls `end` once, with the reason, when it is revoked. */
  holdToken(token: string | undefined, proxy: ProxyIdentity, end: (reason: string) => void): Disposable
  /**
   * Registers a proxy, whose stream is its lease. Resolves when its row is committed, before its first table is
   * requested.
   */
  opened(stream: ProxyStream): Promise<Result<void, string>>
  /** The stream has closed. Called once for each successful `opened`. The row is not removed at once. */
  closed(stream: ProxyStream): void
  openTables(proxy: ProxyIdentity): ProxyFeed
  /**
   * A resource was refused: the zone excludes contributions and publishes a new table. `bind` refusals only show in
   * the status.
   */
  refused(proxy: ProxyIdentity, refusal: Refusal): void
  /** A resource is no longer refused. */
  absolved(proxy: ProxyIdentity, resource: { readonly typeUrl: TypeUrl; readonly name: string }): void
  served(proxy: ProxyIdentity, mark: number): void
  /** Receives all events and effects of a stream in order, for tests and debugging. */
  trace?(stream: ProxyStream, entry: AdsEvent | AdsEffect): void
  openNames(proxy: ProxyIdentity, facts: ProxyFacts): NamesFeed
  /**
   * The proxy received SIGTERM. Resolves when its row is removed, or with the reason why its session may not remove
   * it.
   */
  draining(proxy: ProxyIdentity, credentials: Credentials): Promise<Result<void, string>>
  /** Envoy has exited. Ignored unless the credentials cover the stored row. */
  envoyExited(
    proxy: ProxyIdentity,
    credentials: Credentials,
    exit: { readonly code: number; readonly signal: string },
  ): Promise<void>
}
