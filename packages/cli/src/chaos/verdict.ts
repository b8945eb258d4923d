import { judgeOrdered } from '@zonemesh/shared/guarantees/g1-ordered.ts'
import { judgeAtomic } from '@zonemesh/shared/guarantees/g2-atomic.ts'
import { judgeReliable } from '@zonemesh/shared/guarantees/g3-reliable.ts'
import { judgeResumable } from '@zonemesh/shared/guarantees/g4-resumable.ts'
import { judgeNoFalseDelete } from '@zonemesh/shared/guarantees/g6-no-false-delete.ts'
import { judgeHonestStatus } from '@zonemesh/shared/guarantees/g8-honest-status.ts'
import { judgeNameSafety } from '@zonemesh/shared/guarantees/g9-name-safety.ts'
import { judgeTraffic } from '@zonemesh/shared/guarantees/g10-traffic.ts'
import type { HistoryEvent, Judge, Violation } from '@zonemesh/shared/guarantees/history.ts'
import { type Answer, type Times, timesAround } from './answers.ts'
import type { Allowance, Proof } from './faults/faults.ts'
import type { Timeline } from './timeline.ts'
import type { Failure } from './traffic.ts'

/** The result of one fault: whether it had an effect, and how long the stack took to converge. */
export interface FaultReport extends Proof {
  readonly title: string
  /** The scenario that the fault is part of. */
  readonly scenario?: string | undefined
  readonly fromMs: number
  readonly healedAtMs: number
  readonly convergedMs: number | undefined
  readonly limitMs: number
}

interface Counts {
  readonly requests: number
  readonly failures: readonly Failure[]
  readonly committed: number
  readonly failed: number
  readonly lastFailure: string
  /** The routes that were committed in the mesh under test, and the newest of them that a request passed. */
  readonly routes: number
  readonly servedRoute: number
}

export interface GuaranteeReport {
  readonly guarantee: string
  readonly what: string
  /** The number of observations. Without observations nothing is proved. */
  readonly observations: number
  readonly violations: readonly Violation[]
  /** Failed requests that a fault allows, one entry for each reason. */
  readonly allowed: readonly Allowed[]
}

export interface Allowed {
  readonly count: number
  readonly firstMs: number
  readonly lastMs: number
  readonly why: string
}

/** When a run took place, and the versions of the software that took part in it. */
export interface RunFacts {
  readonly startedAt: string
  readonly tookMs: number
  readonly versions: Readonly<Record<string, string>>
}

export interface Verdict extends RunFacts {
  readonly ok: boolean
  readonly faults: readonly FaultReport[]
  readonly guarantees: readonly GuaranteeReport[]
  readonly counts: Counts
  /** The times of requests that ran during a fault, and of all others. */
  readonly times: { readonly during: Times; readonly outside: Times }
  /** The course of the run, for the page. */
  readonly timeline: Timeline
}

export const isProved = ({ misses, problems }: FaultReport): boolean => misses.length + problems.length === 0
export const holds = ({ violations, observations }: GuaranteeReport): boolean =>
  violations.length === 0 && observations > 0

/** An address may be reused for another service only after this time, which is longer than any run. */
const quarantineMs = 3_600_000

/** The name of a running service must keep resolving once it has resolved. */
const judgeNamesStay: Judge = (history) => {
  const resolved = new Set<string>()
  const violations: Violation[] = []
  for (const event of history) {
    if (event.type !== 'answered') continue
    const name = `${event.zone} ${event.service}`
    if (event.address !== undefined) resolved.add(name)
    else if (resolved.has(name)) {
      const reason = `zone ${event.zone} no longer resolves ${event.service}, which is still running`
      violations.push({ guarantee: 'G9', atMs: event.atMs, reason })
    }
  }
  return violations
}

/** G5 and G7 cannot be observed from outside in one run. The simulation and the tests of policies cover them. */
const guarantees: readonly {
  readonly of: string
  readonly what: string
  readonly by: HistoryEvent['type']
  readonly judges: readonly Judge[]
}[] = [
  { of: 'G1', what: 'revisions only increase', by: 'applied', judges: [judgeOrdered] },
  { of: 'G2', what: 'rows that are committed together become visible together', by: 'pair', judges: [judgeAtomic] },
  { of: 'G3', what: 'in the end all planes have the same rows', by: 'final', judges: [judgeReliable] },
  { of: 'G4', what: 'a service keeps its address', by: 'answered', judges: [judgeResumable(quarantineMs)] },
  { of: 'G6', what: 'only deleted rows disappear', by: 'written', judges: [judgeNoFalseDelete()] },
  { of: 'G8', what: 'a zone that is reported as current is current', by: 'claimed', judges: [judgeHonestStatus()] },
  {
    of: 'G9',
    what: 'an address belongs to one service, and the name of a running service resolves',
    by: 'answered',
    judges: [judgeNameSafety(quarantineMs), judgeNamesStay],
  },
  { of: 'G10', what: 'no request fails', by: 'request', judges: [judgeTraffic] },
]

/** A failed request that a fault allows. It counts if it began before the end of the allowance. */
const isAllowed = (event: HistoryEvent, { paths, fromMs, untilMs }: Allowance): boolean =>
  event.type === 'request' &&
  !event.ok &&
  paths.includes(event.to) &&
  event.atMs >= fromMs &&
  (event.startedAtMs ?? event.atMs) <= untilMs

const allowedBy = (history: readonly HistoryEvent[], allowances: readonly Allowance[]): Allowed[] =>
  allowances.map((one) => {
    const times = history.filter((event) => isAllowed(event, one)).map(({ atMs }) => atMs)
    return { count: times.length, firstMs: times[0] ?? one.fromMs, lastMs: times.at(-1) ?? one.fromMs, why: one.why }
  })

/** Judges a recorded history with the validators that the simulation uses too. */
export function judge(
  history: readonly HistoryEvent[],
  faults: readonly FaultReport[],
  counts: Counts,
  answers: readonly Answer[],
  facts: RunFacts,
  timeline: Timeline,
): Verdict {
  const allowances = faults.flatMap((one) => one.allowances ?? [])
  const judged = history.filter((event) => !allowances.some((one) => isAllowed(event, one)))
  const reports = guarantees.map(({ of, what, by, judges }) => ({
    guarantee: of,
    what,
    observations: history.filter(({ type }) => type === by).length,
    violations: judges.flatMap((one) => one(judged)),
    allowed: of === 'G10' ? allowedBy(history, allowances) : [],
  }))
  const ok = faults.every(isProved) && reports.every(holds)
  return { ok, faults, guarantees: reports, counts, times: timesAround(answers, faults), timeline, ...facts }
}
