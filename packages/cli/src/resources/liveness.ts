import type { JsonObject } from '@zonemesh/shared/base/base.ts'

/** The states of a zone or proxy in a list. `unknown`: this plane has no report about it. */
export const livenessStates = ['online', 'offline', 'unknown'] as const

/** The state of a connection, from the newest subscription of an insight. */
export interface Liveness {
  readonly state: (typeof livenessStates)[number]
  /** When this state began. */
  readonly since: string | undefined
  readonly version: string | undefined
  readonly envoy: string | undefined
}

const unknown: Liveness = { state: 'unknown', since: undefined, version: undefined, envoy: undefined }
const textIn = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)
const part = (value: unknown, key: string): Record<string, unknown> => Object(Object(value)[key])

/** The state that an insight reports. A plane of another version may leave out any field. */
export function livenessOf(insight: JsonObject | undefined): Liveness {
  const subscriptions: unknown = insight?.['subscriptions']
  const last: unknown = Array.isArray(subscriptions) ? subscriptions.at(-1) : undefined
  if (last === undefined) return unknown
  const { connectTime, disconnectTime } = Object(last)
  const ended = textIn(disconnectTime)
  const version = part(last, 'version')
  return {
    state: ended === undefined ? 'online' : 'offline',
    since: ended ?? textIn(connectTime),
    version: textIn(part(version, 'kumaDp')['version']) ?? textIn(part(version, 'kumaCp')['version']),
    envoy: textIn(part(version, 'envoy')['version']),
  }
}

/** The state that a plane has of something in a zone that is offline may be old. */
export const inZone = (liveness: Liveness, isZoneOffline: boolean): Liveness =>
  isZoneOffline ? { ...liveness, state: 'unknown' } : liveness
