import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { ProxyFacts, TypeUrl } from '../emit/table.ts'

/** What one plane has: all rows that something is compiled from, and those that say what was left out. */
export interface PlaneSight {
  /** `global`, or the name of a zone. */
  readonly name: string
  readonly revision: number
  readonly rows: readonly Row[]
}

/** What a zone knows of a proxy of its own. */
export interface ProxySight {
  readonly facts: ProxyFacts
  /** Whether it has a stream to the zone now. */
  readonly connected: boolean
  /** What its Envoy has accepted: version by type and name. */
  readonly accepted: ReadonlyMap<TypeUrl, ReadonlyMap<string, string>>
  /** What it refuses: its own words, by type and name. */
  readonly refused: ReadonlyMap<TypeUrl, ReadonlyMap<string, string>>
  /** The end of the certificate that it shows in its mesh. */
  readonly certificateEndsAtMs?: number
}

/** Everything that can be looked at. What could not be asked is not there, and is told as such. */
export interface Sources {
  readonly nowMs: number
  readonly global: PlaneSight | undefined
  readonly zones: ReadonlyMap<string, PlaneSight>
  /** By the key text of its Dataplane, ZoneIngress or ZoneEgress. */
  readonly proxies: ReadonlyMap<string, ProxySight>
  /** Whether one of these authorities (PEM) has signed the first certificate of a chain (PEM), or is it. */
  trusts(roots: string, chain: string): boolean
  /** What files would do: there are no Envoys, and nobody has certificates. */
  readonly offline: boolean
}

/** The way of a request, in the order in which it is walked. */
export const stepNames = [
  'name',
  'gateway',
  'listener',
  'route',
  'backend',
  'endpoints',
  'egress',
  'ingress',
  'service',
  'permission',
  'certificate',
] as const
export type StepName = (typeof stepNames)[number]

/** A row that decided something: its key text, and the revision of its owner that it is at. */
export interface Decision {
  readonly key: string
  readonly revision: number
}

export interface Step {
  readonly step: StepName
  readonly text: string
  readonly decidedBy: readonly Decision[]
  /** Whether global, zone and Envoy have the same of it; what could not be asked is said. */
  readonly agreement: readonly string[]
}

/** The first thing on the way that is not as it has to be. */
export interface Mismatch {
  readonly step: StepName
  readonly problem: string
  readonly remedy: string
  readonly decidedBy: readonly Decision[]
}

export interface Explanation {
  readonly steps: readonly Step[]
  readonly mismatch: Mismatch | undefined
}
