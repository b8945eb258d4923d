import type { Judge } from './history.ts'

/** G10: while only control planes and their links fail, no request fails. */
export const judgeTraffic: Judge = (history) =>
  history.flatMap((event) =>
    event.type === 'request' && !event.ok
      ? [
          {
            guarantee: 'G10',
            atMs: event.atMs,
            reason: `a request from ${event.from} to ${event.to} failed: ${event.reason}`,
          },
        ]
      : [],
  )
