import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'

export type ProxyType = 'dataplane' | 'ingress' | 'egress'

export interface DataplaneDeps {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  readonly env: Readonly<Record<string, string | undefined>>
  /** Shows one line to the user during a slow operation. */
  progress(line: string): void
  /** Receives each line that Envoy writes. */
  envoyOutput(line: string): void
}

/** How to verify the zone's certificate: by a CA in PEM, by the SHA-256 of its CA, or by the system's roots. */
export type Trust =
  | { readonly type: 'authority'; readonly pem: string }
  | { readonly type: 'pin'; readonly sha256: string }
  | { readonly type: 'system' }

export interface DataplaneConfig {
  /** Undefined if the resource decides; an existing proxy without it is a Dataplane. */
  readonly proxyType: ProxyType | undefined
  /** The text of a Dataplane, ZoneIngress or ZoneEgress with its `{{variables}}`, or the name of an existing one. */
  readonly source:
    | { readonly type: 'resource'; readonly yaml: string; readonly variables: Readonly<Record<string, string>> }
    | { readonly type: 'existing'; readonly mesh: string; readonly name: string }
  /** The address of the zone: https://host:port. */
  readonly address: string
  /** Further addresses of the zone, which are tried in turn until one answers. */
  readonly otherAddresses?: readonly string[]
  readonly trust: Trust
  readonly token?: string
  /** The folder of the state between runs: the claimed part and the last names. Created if it does not exist. */
  readonly workDir: string
  /** The number of Envoy's worker threads. */
  readonly concurrency: number
  /** How long Envoy continues to serve after its row was removed. */
  readonly drainMs: number
  /** The local resolver, which loopback mode needs. Builtin gateways and zone proxies never have one. */
  readonly dns: { readonly enabled: boolean; readonly port: number }
  /** The port of Envoy's admin interface on 127.0.0.1. Without it, the interface is a socket in the work folder. */
  readonly adminPort?: number
  /** The port of GET /ready on 127.0.0.1. */
  readonly readinessPort?: number
}

export const defaultConfig = {
  address: 'https://localhost:5678',
  concurrency: 2,
  drainMs: 5_000,
  dns: { enabled: true, port: 15053 },
} as const
