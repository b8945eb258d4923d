import type { HistoryEvent, Violation } from './history.ts'

const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0

const lags = (history: readonly HistoryEvent[]) => history.flatMap((event) => (event.type === 'lag' ? [event.ms] : []))

/**
 * G7: good resources take at most twice as long with bad resources as without. Delays up to `floorMs` never violate it.
 */
export function judgeIsolation(
  withBad: readonly HistoryEvent[],
  without: readonly HistoryEvent[],
  floorMs = 50,
): readonly Violation[] {
  const [bad, good] = [quantile(lags(withBad), 0.9), quantile(lags(without), 0.9)]
  if (bad <= Math.max(floorMs, 2 * good)) return []
  return [{ guarantee: 'G7', atMs: 0, reason: `with bad resources p90 is ${bad} ms, without ${good} ms` }]
}
