/** The messages between a measurement and the processes of its zones. */
export interface Start {
  readonly type: 'start'
  readonly global: { readonly pin: string; readonly syncPort: number }
  readonly folder: string
  readonly tokens: readonly (readonly [zone: string, token: string])[]
}

export type Question =
  | Start
  /** Answered with the time at which the zone was current at this revision. */
  | { readonly type: 'current'; readonly zone: string; readonly revision: number }
  /** Answered with the seconds of CPU that the process has used. */
  | { readonly type: 'cpu' }
  | { readonly type: 'stop' }

export type Answer =
  | { readonly type: 'answer'; readonly id: number; readonly value: number }
  | { readonly type: 'failed'; readonly id: number; readonly reason: string }
  /** Rows that the measurement may wait for are in the store of a zone. */
  | { readonly type: 'written'; readonly zone: string; readonly names: readonly string[]; readonly atMs: number }

/** A time of this process on the clock of the machine, which all its processes share. */
export const sharedMs = (atMs = performance.now()): number =>
  Number(process.hrtime.bigint()) / 1e6 - (performance.now() - atMs)
