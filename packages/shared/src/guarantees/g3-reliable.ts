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
            reason: `${event.plane} misses or has otherwise ${shown(event.missing)}, and has too much ${shown(event.surplus)}`,
          },
        ]
      : [],
  )
