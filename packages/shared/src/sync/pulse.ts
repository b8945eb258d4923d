import type { Clock } from '../env/clock.ts'

const bookmarkEveryMs = 2_000
const bookmarkCoalesceMs = 5
const bookmarkDelayMs = 3
/** The other end sends a bookmark every 2 s: after so long without any frame it is gone, even if nobody said so. */
export const silenceMaxMs = 7_000

/** How far the wall clock of the sender of a bookmark is ahead of ours, give or take the way of the bookmark. */
export const clockAheadMs = ({ wallClockMs }: { readonly wallClockMs: number }, nowMs: number): number =>
  wallClockMs === 0 ? 0 : Math.round(wallClockMs - nowMs)

export interface Pulse extends Disposable {
  /** A bookmark goes now. */
  beat(): void
  /** Something that a bookmark tells has changed: one goes soon. */
  announce(): void
  /** A frame came. */
  heard(): void
}

/**
 * The sign of life of a session, on the stream that carries its rows: a bookmark every 2 s and soon after each change, and an
 * end when nothing is heard. There is no other health call that could be green alone.
 */
export function startPulse(clock: Clock, bookmark: () => void, silent: (silentMs: number) => void): Pulse {
  let lastBookmarkMs = Number.NEGATIVE_INFINITY
  let lastHeardMs = clock.monotonicMs()
  /** A bookmark is due within the time in which they are coalesced. */
  let announced = false
  let over = false
  let bookmarkTimer: Disposable | undefined
  let lifeTimer: Disposable | undefined

  function rearm(waitMs: number): void {
    bookmarkTimer?.[Symbol.dispose]()
    bookmarkTimer = over ? undefined : clock.after(waitMs, beat)
  }

  function beat(): void {
    announced = false
    lastBookmarkMs = clock.monotonicMs()
    rearm(bookmarkEveryMs)
    bookmark()
  }

  /** A look that comes late says that we were busy, not that the other end was silent: what it sent may still lie unread. */
  function listen(): void {
    const dueMs = clock.monotonicMs() + bookmarkEveryMs
    lifeTimer = clock.after(bookmarkEveryMs, () => {
      const nowMs = clock.monotonicMs()
      const silentMs = Math.round(nowMs - lastHeardMs)
      if (silentMs < silenceMaxMs || nowMs - dueMs > bookmarkEveryMs / 2) return listen()
      silent(silentMs)
    })
  }

  listen()
  return {
    beat,
    announce() {
      if (over || announced) return
      announced = true
      // Never at once: what is stored is soon served too, and one bookmark tells both, after the work that it tells of.
      rearm(Math.max(bookmarkDelayMs, lastBookmarkMs + bookmarkCoalesceMs - clock.monotonicMs()))
    },
    heard() {
      lastHeardMs = clock.monotonicMs()
    },
    [Symbol.dispose]() {
      over = true
      bookmarkTimer?.[Symbol.dispose]()
      lifeTimer?.[Symbol.dispose]()
    },
  }
}
