import { durationMs } from '../../kinds/common.ts'
import type { TimeoutSpec } from './timeout.ts'

/**
 * Limits for connecting, for requests and for idle connections. 0 means no limit; undefined leaves the value to Envoy.
 */
export interface Timeouts {
  readonly connectMs: number
  readonly tcpIdleMs: number | undefined
  readonly idleMs: number | undefined
  readonly requestMs: number | undefined
  readonly streamIdleMs: number | undefined
  readonly maxStreamMs: number | undefined
}

/** Kuma's defaults for a mesh without policies. */
export const defaultTimeouts = {
  /** From a sidecar to a service. */
  outbound: {
    connectMs: 5_000,
    tcpIdleMs: 3_600_000,
    idleMs: 3_600_000,
    requestMs: 15_000,
    streamIdleMs: 1_800_000,
    maxStreamMs: 0,
  },
  /** From a builtin gateway to a service. */
  gateway: {
    connectMs: 5_000,
    tcpIdleMs: 300_000,
    idleMs: 3_600_000,
    requestMs: 15_000,
    streamIdleMs: 5_000,
    maxStreamMs: 0,
  },
  /** From a sidecar to its own application. */
  inbound: {
    connectMs: 10_000,
    tcpIdleMs: 7_200_000,
    idleMs: 7_200_000,
    requestMs: 0,
    streamIdleMs: 3_600_000,
    maxStreamMs: 0,
  },
} as const satisfies Record<string, Timeouts>

const given = (text: string | undefined, otherwise: number | undefined): number | undefined =>
  text === undefined ? otherwise : (durationMs(text) ?? otherwise)

/** The timeouts of a policy. Values that it omits come from the defaults. */
export function mergeTimeouts(spec: TimeoutSpec | undefined, defaults: Timeouts): Timeouts {
  const { connectTimeout, tcp, http } = spec?.conf ?? {}
  return {
    connectMs: given(connectTimeout, defaults.connectMs) ?? defaults.connectMs,
    tcpIdleMs: given(tcp?.idleTimeout, defaults.tcpIdleMs),
    idleMs: given(http?.idleTimeout, defaults.idleMs),
    requestMs: given(http?.requestTimeout, defaults.requestMs),
    streamIdleMs: given(http?.streamIdleTimeout, defaults.streamIdleMs),
    maxStreamMs: given(http?.maxStreamDuration, defaults.maxStreamMs),
  }
}
