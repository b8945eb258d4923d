import type { Fault } from './faults.ts'
import type { RunResult } from './run.ts'

export const faultLine = ({ atMs, type, target, forMs }: Fault): string =>
  `${(atMs / 1000).toFixed(1)} s after the start of the chaos: ${type} of ${target} (${(forMs / 1000).toFixed(1)} s)`

/** A run as text. */
export function summary(result: RunResult): string {
  const { seed, zones, globals, events, virtualMs, convergedMs, faults, violations } = result
  const converged = convergedMs === undefined ? 'never' : `${(convergedMs / 1000).toFixed(0)} s after healing began`
  const lines = [
    `seed ${seed}: ${zones} zones, ${globals} globals, ${events} events in ${(virtualMs / 1000).toFixed(0)} virtual seconds; all agreed ${converged}`,
    ...faults.map((fault) => `  ${faultLine(fault)}`),
    ...(violations.length === 0 ? ['no violation'] : [`${violations.length} violations:`]),
    ...violations.slice(0, 8).map((one) => `  ${one.slice(0, 400)}`),
  ]
  return lines.join('\n')
}
