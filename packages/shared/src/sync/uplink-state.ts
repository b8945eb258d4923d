import type { Clock } from '../env/clock.ts'
import type { Position } from '../store/store.ts'
import { createLatest, type Latest } from '../streams/latest.ts'
import type { Hold } from './log/messages.ts'
import type { Agreement } from './log/protocol.ts'
import { confirmedMaxMs } from './pulse.ts'

export const uplinkPhases = ['connecting', 'connected', 'waiting', 'refused', 'standby', 'stopped'] as const

export interface UplinkState {
  /**
   * `refused`: an operator must act. The zone still dials again, but slowly. `standby`: another replica of the zone has
   * the session.
   */
  readonly phase: (typeof uplinkPhases)[number]
  /** The reason of the phase. In phase `connected`: why nothing is stored. */
  readonly reason: string
  /** Wall clock of the last change of phase. */
  readonly sinceMs: number
  readonly globalStoreId: string | undefined
  readonly epoch: number | undefined
  /** The protocol version and features of the newest session. */
  readonly agreement: Agreement | undefined
  /**
   * The last mark of the global that this store has committed. May be ahead of the position in the store, because rounds
   * without rows move it in memory only.
   */
  readonly position: Position | undefined
  /** The last own mark sent, and the last one that the global has stored. */
  readonly sent: number
  readonly storedByGlobal: number
  /**
   * The newest mark that the global has reported, and the monotonic time of its last bookmark. Old bookmarks count as
   * none.
   */
  readonly globalMark: number
  readonly bookmarkAtMs: number
  /** The newest bookmark of the global was made after this monotonic time, however long it was on its way. */
  readonly confirmedAtMs: number
  /** How far the wall clock of the global was ahead of ours at its last bookmark; negative: behind. */
  readonly clockAheadMs: number
  /** False while the global's log does not hold the position with which this zone has dialled. */
  readonly positionCounts: boolean
  /** The change that waits for an operator; `release` takes its id. */
  readonly hold: Hold | undefined
}

/** True only if a bookmark that was made within `confirmedMaxMs` shows that the global has nothing newer. */
export const isCurrent = (state: UplinkState, nowMs: number): boolean =>
  state.phase === 'connected' &&
  state.hold === undefined &&
  state.positionCounts &&
  nowMs - state.confirmedAtMs < confirmedMaxMs &&
  state.position?.store === state.globalStoreId &&
  (state.position?.revision ?? -1) >= state.globalMark

export interface StateKeeper {
  readonly latest: Latest<UplinkState>
  /** Changes some fields. The time of the state moves only with its phase. */
  change(next: Partial<UplinkState>): void
}

const unknown: UplinkState = {
  phase: 'connecting',
  reason: '',
  sinceMs: 0,
  globalStoreId: undefined,
  epoch: undefined,
  agreement: undefined,
  position: undefined,
  sent: 0,
  storedByGlobal: 0,
  globalMark: 0,
  bookmarkAtMs: Number.NEGATIVE_INFINITY,
  confirmedAtMs: Number.NEGATIVE_INFINITY,
  clockAheadMs: 0,
  positionCounts: false,
  hold: undefined,
}

/** The state of a zone whose session another replica has. */
export const standbyState = (reason: string): UplinkState => ({ ...unknown, phase: 'standby', reason })

/** The state of an uplink, which starts to connect. */
export function createUplinkState(clock: Pick<Clock, 'wallMs'>, startedAtMs: number): StateKeeper {
  const latest = createLatest<UplinkState>({ ...unknown, sinceMs: startedAtMs })
  return {
    latest,
    change(next) {
      const moved = next.phase !== undefined && next.phase !== latest.value.phase
      latest.set({ ...latest.value, ...next, ...(moved ? { sinceMs: clock.wallMs() } : {}) })
    },
  }
}
