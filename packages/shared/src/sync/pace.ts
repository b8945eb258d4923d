import type { Clock } from '../env/clock.ts'
import { untilReached } from './receipts.ts'
import type { ZoneBoard } from './zone-status.ts'

/** A commit of fewer rows never waits: it is what somebody does by hand. */
const largeRows = 50
/** What zones may still have to store while the next large commit is prepared. */
const aheadRowsMax = 1_000
/** Zones that are slow, or have stopped, cost a writer no more than this for each commit. */
const waitMaxMs = 500

/** A commit that is stored here. */
export interface Written {
  readonly revision: number
  readonly rows: number
}

/**
 * Keeps many large commits, one behind the other, from running ahead of the zones: whoever changes one thing meanwhile would wait
 * behind all of them in each zone. Half of the connected zones set the pace, so that a slow one cannot.
 */
export function createPace(clock: Clock, board: ZoneBoard, connected: () => Iterable<string>) {
  /** Newest first, as far as they count. */
  let ahead: readonly Written[] = []

  /** Ends when the next large commit may come: at once for a small one, or where no zone is connected. */
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
