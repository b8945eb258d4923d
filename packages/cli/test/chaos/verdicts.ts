import type { HistoryEvent } from '@zonemesh/shared/guarantees/history.ts'
import type { Answer } from '../../src/chaos/answers.ts'
import { timelineOf } from '../../src/chaos/timeline.ts'
import { type FaultReport, judge, type Verdict } from '../../src/chaos/verdict.ts'

export const secondFault: FaultReport = {
  title: 'kill global for 2.0 s',
  evidence: ['process of global: 10 → 11'],
  misses: [],
  problems: [],
  fromMs: 9_000,
  healedAtMs: 11_000,
  convergedMs: 500,
  limitMs: 15_000,
}

/** A fault from 1 s to 5 s that had an effect. */
export const firstFault: FaultReport = {
  ...secondFault,
  ...{ title: 'partition east for 4.0 s', evidence: ['the relay held 9 bytes'], fromMs: 1_000, healedAtMs: 5_000 },
}

export const failedRequest = (atMs: number, reason: string): HistoryEvent => ({
  ...{ type: 'request', atMs, from: 'the gateway', to: '/chaos-west', ok: false, reason },
})

/** A verdict over a history; requests that are not in it succeeded. */
export function verdictOf(
  history: readonly HistoryEvent[],
  faults: readonly FaultReport[],
  answers: readonly Answer[] = [],
): Verdict {
  const failures = history.flatMap((event) =>
    event.type === 'request' && !event.ok
      ? [{ startedAtMs: event.atMs, atMs: event.atMs, to: event.to, reason: event.reason }]
      : [],
  )
  const counts = { requests: 100, failures, committed: 7, failed: 0, lastFailure: '', routes: 3, servedRoute: 3 }
  const facts = { startedAt: '2026-01-02T03:04:05.678Z', tookMs: 12_345, versions: { zonemesh: '1.2.3' } }
  return judge(history, faults, counts, answers, facts, timelineOf(answers, [], history))
}
