import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Plane } from './plane.ts'

/** The status of a zone at one moment. If it did not answer, only the first four fields are meaningful. */
export interface ZoneSample {
  readonly requestedAtMs: number
  readonly atMs: number
  readonly zone: string
  readonly answered: boolean
  readonly phase: string
  readonly reason: string
  readonly epoch: number
  /** The store of the global whose rows the zone has, up to `revision`. */
  readonly store: string
  readonly revision: number
  readonly current: boolean
  readonly lag: number
  readonly bookmarkMsAgo: number
  readonly hold: string
  /** Whether this is the report of another replica, which has the session. It may be a moment old. */
  readonly isRelayed: boolean
  /** The live processes of the zone; 0 if it has no replicas. */
  readonly replicas: number
  /** The state of each proxy, by its name in the status. */
  readonly proxies: Readonly<Record<string, string>>
}

export interface ReportedZone {
  readonly zone: string
  readonly connected: boolean
  readonly current: boolean
  readonly epoch: number
  readonly stored: number
  readonly lag: number
  readonly lagMs: number
  readonly holds: number
}

/** The status of the global and of its zones. */
export interface GlobalSample {
  readonly atMs: number
  readonly answered: boolean
  readonly store: string
  readonly head: number
  /** Whether Redis answers: `connected`, `away`, or '' without Redis. */
  readonly redis: string
  readonly zones: readonly ReportedZone[]
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const number = (value: unknown): number => (typeof value === 'number' ? value : 0)
const list = (value: unknown): readonly Readonly<Record<string, unknown>>[] =>
  Array.isArray(value) ? value.map(object) : []
const object = (value: unknown): Readonly<Record<string, unknown>> =>
  value !== null && typeof value === 'object' ? { ...value } : {}

async function status(plane: Plane): Promise<JsonObject | undefined> {
  try {
    const { status, body } = await plane.ask('GET', '/_status')
    return status === 200 ? body : undefined
  } catch {
    return undefined
  }
}

export async function readZone(clock: Clock, zone: string, plane: Plane): Promise<ZoneSample> {
  const requestedAtMs = clock.monotonicMs()
  const report = await status(plane)
  const uplink = object(report?.['uplink'])
  return {
    requestedAtMs,
    atMs: report ? clock.monotonicMs() : requestedAtMs,
    zone,
    answered: report !== undefined,
    phase: text(uplink['phase']),
    reason: text(uplink['reason']),
    epoch: number(uplink['epoch']),
    store: text(uplink['global']),
    revision: number(uplink['revision']),
    current: uplink['current'] === true,
    lag: number(uplink['lagRevisions']),
    bookmarkMsAgo: number(uplink['bookmarkMsAgo']),
    hold: text(object(uplink['hold'])['reason']),
    isRelayed: uplink['replica'] !== undefined,
    replicas: list(report?.['replicas']).length,
    proxies: Object.fromEntries(list(report?.['proxies']).map((one) => [text(one['proxy']), text(one['state'])])),
  }
}

export async function readGlobal(clock: Clock, plane: Plane): Promise<GlobalSample> {
  const report = await status(plane)
  const zones = list(report?.['zones'])
  return {
    atMs: clock.monotonicMs(),
    answered: report !== undefined,
    store: text(report?.['store']),
    head: number(report?.['revision']),
    redis: text(object(report?.['redis'])['phase']),
    zones: zones.map((one) => ({
      zone: text(one['zone']),
      connected: one['connected'] === true,
      current: one['current'] === true,
      epoch: number(one['epoch']),
      stored: number(object(one['revision'])['stored']),
      lag: number(one['lagRevisions']),
      lagMs: number(one['lagMs']),
      holds: Array.isArray(one['holds']) ? one['holds'].length : 0,
    })),
  }
}
