import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'

export type ProxyType = 'dataplane' | 'ingress' | 'egress'

export interface DataplaneDeps {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  readonly env: Readonly<Record<string, string | undefined>>
  /** One line for people while something slow happens. */
  progress(line: string): void
  /** A line that Envoy wrote. */
  envoyOutput(line: string): void
}

/** How the zone's certificate is trusted: by a CA in PEM, by the SHA-256 of its CA, or by the system's roots. */
export type Trust =
  | { readonly type: 'authority'; readonly pem: string }
  | { readonly type: 'pin'; readonly sha256: string }
  | { readonly type: 'system' }

export interface DataplaneConfig {
  readonly proxyType: ProxyType
  /** The text of a Dataplane, ZoneIngress or ZoneEgress with its `{{variables}}`; or the name of one that exists. */
  readonly source:
    | { readonly type: 'resource'; readonly yaml: string; readonly variables: Readonly<Record<string, string>> }
    | { readonly type: 'existing'; readonly mesh: string; readonly name: string }
  /** https://host:port of the zone. */
  readonly address: string
  readonly trust: Trust
  readonly token?: string
  /** Kept between runs: the claimed part, the names last served. Made if missing. */
  readonly workDir: string
  /** Envoy's worker threads. */
  readonly concurrency: number
  /** How long Envoy goes on serving after its row is gone. */
  readonly drainMs: number
  /** The local resolver, and with it the loopback mode. Builtin gateways and zone proxies have none in any case. */
  readonly dns: { readonly enabled: boolean; readonly port: number }
  /** Envoy's admin on 127.0.0.1 instead of a socket in the work folder. */
  readonly adminPort?: number
  /** GET /ready on 127.0.0.1. */
  readonly readinessPort?: number
}

export const defaultConfig = {
  address: 'https://localhost:5678',
  concurrency: 2,
  drainMs: 5_000,
  dns: { enabled: true, port: 15053 },
} as const
