import { judgeOrdered } from './g1-ordered.ts'
import { judgeAtomic } from './g2-atomic.ts'
import { judgeReliable } from './g3-reliable.ts'
import { judgeResumable } from './g4-resumable.ts'
import { judgeOwnerOnly } from './g5-owner-only.ts'
import { judgeNoFalseDelete } from './g6-no-false-delete.ts'
import { judgeHonestStatus } from './g8-honest-status.ts'
import { judgeNameSafety } from './g9-name-safety.ts'
import { judgeTraffic } from './g10-traffic.ts'
import type { HistoryEvent, SeenVersion, Violation } from './history.ts'

/** Judges all guarantees that need one history. G7 compares two histories and is called separately. */
export function judgeAll(
  history: readonly HistoryEvent[],
  options: {
    readonly quarantineMs: number
    /** How long rows of a zone's lost store stay. */
    readonly formerStayMs: number
    /** Which rows of the global every zone must hold. */
    readonly isForAll: (version: SeenVersion) => boolean
  },
): readonly Violation[] {
  const judges = [
    judgeOrdered,
    judgeAtomic,
    judgeReliable,
    judgeResumable(options.quarantineMs),
    judgeOwnerOnly,
    judgeNoFalseDelete(options),
    judgeHonestStatus(options),
    judgeNameSafety(options.quarantineMs),
    judgeTraffic,
  ]
  return judges.flatMap((judge) => judge(history)).sort((a, b) => a.atMs - b.atMs)
}
