import type { Judge } from './history.ts'

const shown = (keys: readonly string[]) => `${keys.length} (${keys.slice(0, 3).join(', ')})`

/** G3: after healing, every plane holds exactly the rows that its peers have for it. */
export const judgeReliable: Judge = (history) =>
  history.flatMap((event) =>
    event.type === 'final' && event.missing.length + event.surplus.length > 0
      ? [
          {
            guarantee: 'G3',
            atMs: event.atMs,
            reason: `${event.plane} lacks or has a different version of ${shown(event.missing)}, and has the surplus ${shown(event.surplus)}`,
          },
        ]
      : [],
  )
