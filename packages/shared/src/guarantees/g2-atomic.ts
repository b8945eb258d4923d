import type { Judge } from './history.ts'

/** G2: rows that were committed together become visible together. */
export const judgeAtomic: Judge = (history) =>
  history.flatMap((event) =>
    event.type === 'pair' && event.left !== event.right
      ? [
          {
            guarantee: 'G2',
            atMs: event.atMs,
            reason: `zone ${event.zone} shows ${event.left} and ${event.right} of rows that were always written together`,
          },
        ]
      : [],
  )
