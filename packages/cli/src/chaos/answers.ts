/** One request of the traffic, as its caller saw it. */
export interface Answer {
  readonly startedAtMs: number
  readonly atMs: number
  readonly ok: boolean
}

/** How many requests were sent and how long their answers took. The times of failed requests do not count. */
export interface Times {
  readonly requests: number
  readonly failed: number
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
}

export function timesOf(answers: readonly Answer[]): Times {
  const sorted = answers
    .filter(({ ok }) => ok)
    .map(({ startedAtMs, atMs }) => atMs - startedAtMs)
    .sort((a, b) => a - b)
  // The smallest value that this part of the requests did not exceed.
  const quantile = (part: number) => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)]
  return {
    requests: answers.length,
    failed: answers.length - sorted.length,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  }
}

const milliseconds = (ms: number | undefined): string => (ms === undefined ? '-' : `${ms.toFixed(1)} ms`)

export const timesText = ({ p50Ms, p99Ms }: Times): string => `p50 ${milliseconds(p50Ms)}, p99 ${milliseconds(p99Ms)}`

interface Period {
  readonly fromMs: number
  readonly healedAtMs: number
}

/** The times of requests that ran at least in part during a fault, and of all others. */
export function timesAround(answers: readonly Answer[], faults: readonly Period[]) {
  const { during = [], outside = [] } = Object.groupBy(answers, ({ startedAtMs, atMs }) =>
    faults.some(({ fromMs, healedAtMs }) => startedAtMs <= healedAtMs && atMs >= fromMs) ? 'during' : 'outside',
  )
  return { during: timesOf(during), outside: timesOf(outside) }
}
