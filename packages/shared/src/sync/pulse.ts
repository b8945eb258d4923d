import type { Clock } from '../env/clock.ts'

const bookmarkEveryMs = 2_000
const bookmarkCoalesceMs = 5
const bookmarkDelayMs = 3
/** A session without any frame for this long is cut. The peer sends a bookmark every 2 s. */
export const silenceMaxMs = 7_000
/**
 * A zone is current only with a bookmark that was made within this time. The global may have read its mark 3 s before
 * it made the bookmark, so what the bookmark reports is never older than 10 s.
 */
export const confirmedMaxMs = 7_000
/** A bookmark without an echo may have been on its way for as long as `silenceMaxMs`, so it counts only for 3 s. */
const ageWithoutEchoMs = 4_000

/** The time by our monotonic clock after which a bookmark was made. */
export const madeAfterMs = (echoMs: number | undefined, nowMs: number): number => echoMs ?? nowMs - ageWithoutEchoMs

/** How far the wall clock of a bookmark's sender is ahead of ours, up to the travel time of the bookmark. */
export const clockAheadMs = ({ wallClockMs }: { readonly wallClockMs: number }, nowMs: number): number =>
  wallClockMs === 0 ? 0 : Math.round(wallClockMs - nowMs)

export interface Pulse extends Disposable {
  /** Sends a bookmark now. */
  beat(): void
  /** A value that a bookmark reports has changed: sends one soon. */
  announce(): void
  /** A frame has arrived. */
  received(): void
}

/**
 * The heartbeat of a session: it sends a bookmark every 2 s and soon after each change, and calls `silent` if no frame
 * arrives. It shares the stream with the rows, so it cannot look healthy while the rows are stuck.
 */
export function startPulse(clock: Clock, bookmark: () => void, silent: (silentMs: number) => void): Pulse {
  let lastBookmarkMs = Number.NEGATIVE_INFINITY
  let lastFrameMs = clock.monotonicMs()
  /** A bookmark is scheduled, and further changes join it. */
  let announced = false
  let isDisposed = false
  let bookmarkTimer: Disposable | undefined
  let lifeTimer: Disposable | undefined

  function rearm(waitMs: number): void {
    bookmarkTimer?.[Symbol.dispose]()
    bookmarkTimer = isDisposed ? undefined : clock.after(waitMs, beat)
  }

  function beat(): void {
    announced = false
    lastBookmarkMs = clock.monotonicMs()
    rearm(bookmarkEveryMs)
    bookmark()
  }

  /**
   * If this timer fires late, our process was busy and frames of the peer may be unread, so the peer does not count as
   * silent.
   */
  function listen(): void {
    const dueMs = clock.monotonicMs() + bookmarkEveryMs
    lifeTimer = clock.after(bookmarkEveryMs, () => {
      const nowMs = clock.monotonicMs()
      const silentMs = Math.round(nowMs - lastFrameMs)
      if (silentMs < silenceMaxMs || nowMs - dueMs > bookmarkEveryMs / 2) return listen()
      silent(silentMs)
    })
  }

  listen()
  return {
    beat,
    announce() {
      if (isDisposed || announced) return
      announced = true
      // Never at once: a stored revision is soon served too, and one bookmark can report both.
      rearm(Math.max(bookmarkDelayMs, lastBookmarkMs + bookmarkCoalesceMs - clock.monotonicMs()))
    },
    received() {
      lastFrameMs = clock.monotonicMs()
    },
    [Symbol.dispose]() {
      isDisposed = true
      bookmarkTimer?.[Symbol.dispose]()
      lifeTimer?.[Symbol.dispose]()
    },
  }
}
