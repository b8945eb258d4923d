import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { ProxyFacts, TypeUrl } from '../emit/table.ts'

/** The data of one plane: all rows that the compiler reads, and the rows that record what was left out. */
export interface PlaneSight {
  /** `global`, or the name of a zone. */
  readonly name: string
  readonly revision: number
  readonly rows: readonly Row[]
}

/** A zone's view of one of its proxies. */
export interface ProxySight {
  readonly facts: ProxyFacts
  /** Whether the proxy has a stream to the zone now. */
  readonly connected: boolean
  /** The resources that its Envoy has accepted: version by type and name. */
  readonly accepted: ReadonlyMap<TypeUrl, ReadonlyMap<string, string>>
  /** The resources that its Envoy refuses: its error message by type and name. */
  readonly refused: ReadonlyMap<TypeUrl, ReadonlyMap<string, string>>
  /** When the proxy's certificate for its mesh expires. */
  readonly certificateEndsAtMs?: number
}

/**
 * The data of all planes. Planes and proxies that could not be reached are absent, and the explanation reports this.
 */
export interface Sources {
  readonly nowMs: number
  readonly global: PlaneSight | undefined
  readonly zones: ReadonlyMap<string, PlaneSight>
  /** By the key text of its Dataplane, ZoneIngress or ZoneEgress. */
  readonly proxies: ReadonlyMap<string, ProxySight>
  /** Whether one of these authorities (PEM) has signed the first certificate of a chain (PEM), or is it. */
  trusts(roots: string, chain: string): boolean
  /** The data comes from files: there are no Envoys and no certificates. */
  readonly offline: boolean
}

/** The steps of a request, in order. */
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

/** A row that decided a step: its key text, and its revision at its owner. */
export interface Decision {
  readonly key: string
  readonly revision: number
}

export interface Step {
  readonly step: StepName
  readonly text: string
  readonly decidedBy: readonly Decision[]
  /** Notes on whether global, zone and Envoy agree, including planes that could not be reached. */
  readonly agreement: readonly string[]
}

/** The first mismatch on the way of a request. */
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
