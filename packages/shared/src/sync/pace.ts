import type { Clock } from '../env/clock.ts'
import { untilReached } from './receipts.ts'
import type { ZoneBoard } from './zone-status.ts'

/** A commit of fewer rows never waits: it is likely made by hand. */
const largeRows = 50
/** How many rows zones may still have to store when the next large commit begins. */
const aheadRowsMax = 1_000
/** How long slow or stopped zones may delay a writer for each commit. */
const waitMaxMs = 500

/** A commit of this store. */
export interface Written {
  readonly revision: number
  readonly rows: number
}

/**
 * Keeps a series of large commits from running ahead of the zones. Otherwise a single change would wait behind all of
 * them in each zone. The faster half of the connected zones sets the pace, so that one slow zone cannot.
 */
export function createPace(clock: Clock, board: ZoneBoard, connected: () => Iterable<string>) {
  /** The newest commits, newest first, back to the one that must be stored before the next. */
  let ahead: readonly Written[] = []

  /** Resolves when the next large commit may begin: at once after a small one, or if no zone is connected. */
  return async function keepPace(written: Written, signal: AbortSignal): Promise<void> {
    if (written.rows < largeRows) return
    ahead = [written, ...ahead]
    let rows = 0
    const beyond = ahead.findIndex((one) => {
      rows += one.rows
      return rows > aheadRowsMax
    })
    const due = ahead[beyond]
    if (!due) return
    ahead = ahead.slice(0, beyond + 1)
    const zones = [...connected()]
    const wait = { revision: due.revision, level: 'stored', zones, timeoutMs: waitMaxMs } as const
    await untilReached(clock, board, wait, Math.ceil(zones.length / 2), signal)
  }
}
