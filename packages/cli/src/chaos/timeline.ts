import type { HistoryEvent } from '@zonemesh/shared/guarantees/history.ts'
import { type Answer, timesOf } from './answers.ts'
import type { GlobalSample } from './samples.ts'

/** The state of a zone in one step: the furthest that it was behind the global; undefined if no sample shows it. */
export interface ZoneStep {
  readonly lagMs: number
  readonly isConnected: boolean
}

/** What happened in one second of a run. */
export interface Step {
  readonly requests: number
  readonly failed: number
  /** Undefined without a request that succeeded. */
  readonly p99Ms: number | undefined
  readonly zones: Readonly<Record<string, ZoneStep>>
  /** Whether the global answered every request for its status. */
  readonly answered: boolean
  readonly observations: number
}

/** A run in steps of one second. Times are those of the monotonic clock of the run. */
export interface Timeline {
  readonly fromMs: number
  readonly stepMs: number
  readonly steps: readonly Step[]
}

const stepMs = 1_000

/** The course of a run, from its first request to its last one. */
export function timelineOf(
  answers: readonly Answer[],
  samples: readonly GlobalSample[],
  history: readonly HistoryEvent[],
): Timeline {
  const fromMs = answers[0]?.startedAtMs ?? 0
  const toMs = answers.at(-1)?.atMs ?? fromMs
  const stepOf = ({ atMs }: { readonly atMs: number }): number => Math.floor((atMs - fromMs) / stepMs)
  const answersByStep = Map.groupBy(answers, stepOf)
  const samplesByStep = Map.groupBy(samples, stepOf)
  const eventsByStep = Map.groupBy(history, stepOf)
  const steps = Array.from({ length: Math.ceil((toMs - fromMs) / stepMs) }, (_, index): Step => {
    const { requests, failed, p99Ms } = timesOf(answersByStep.get(index) ?? [])
    const own = samplesByStep.get(index) ?? []
    return {
      ...{ requests, failed, p99Ms },
      zones: zonesOf(own),
      answered: own.every(({ answered }) => answered),
      observations: eventsByStep.get(index)?.length ?? 0,
    }
  })
  return { fromMs, stepMs, steps }
}

function zonesOf(samples: readonly GlobalSample[]): Readonly<Record<string, ZoneStep>> {
  const byZone = Map.groupBy(
    samples.flatMap(({ zones }) => zones),
    ({ zone }) => zone,
  )
  return Object.fromEntries(
    [...byZone].map(([zone, states]) => [
      zone,
      {
        lagMs: Math.max(...states.map(({ lagMs }) => lagMs)),
        isConnected: states.every(({ connected }) => connected),
      },
    ]),
  )
}
