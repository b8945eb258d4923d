import type { Clock } from '../env/clock.ts'
import type { Lifetime } from './lifetime.ts'
import type { Bookmark, Counters, Message } from './log/messages.ts'
import { startPulse } from './pulse.ts'
import type { Receiver } from './receiver.ts'
import type { Sender } from './sender.ts'
import type { ServedStatus } from './served-status.ts'

interface Deps {
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly sender: Pick<Sender, 'sent' | 'newest'>
  readonly receiver: Pick<Receiver, 'stored' | 'counted' | 'hold' | 'counts' | 'payCredit'>
  readonly send: (message: Message) => void
  /** Why our store accepts no commits at the moment; empty if it does. */
  readonly blocked: () => string
  /** No frame of the peer has arrived for so long that the connection counts as lost. */
  readonly silent: (silentMs: number) => void
}

export interface BookmarkOptions {
  readonly served: () => ServedStatus
  /**
   * The newest mark that this process has read from the store; undefined while the store does not answer. Default: the
   * mark that this session has read.
   */
  readonly newestMark?: () => number | undefined
  readonly onBookmark: (bookmark: Bookmark) => void
}

/** Sent if our newest mark is unknown. No receiver has a revision this high, so none counts as current. */
const unknownMark = Number.MAX_SAFE_INTEGER

/**
 * The bookmarks of a session: composes ours from both halves of the session whenever the pulse requests one, and
 * returns the time of the peer's newest one to it.
 */
export function startBookmarks(deps: Deps, { served, newestMark, onBookmark }: BookmarkOptions) {
  const { clock, lifetime, sender, receiver, send } = deps
  /** The time of the peer's newest bookmark, by the clock of the peer. */
  let echoMs: number | undefined

  function counters(): Counters {
    const { proxies, proxiesConnected } = served()
    return { ...receiver.counts(), proxies, proxiesConnected }
  }

  function own(): Bookmark {
    const status = served()
    const { verdicts, silentProxies } = status
    // The store may have given a newer mark to another reader while the read of this session still waits.
    const read = sender.newest()?.revision ?? 0
    const newest = newestMark ? newestMark() : read
    const hold = receiver.hold()
    return {
      sent: sender.sent()?.revision ?? 0,
      mark: newest === undefined ? unknownMark : Math.max(newest, read),
      stored: receiver.counted(receiver.stored()),
      served: receiver.counted(status.served),
      holds: hold ? [hold] : [],
      blocked: deps.blocked(),
      verdicts,
      silentProxies,
      counters: counters(),
      wallClockMs: Math.floor(clock.wallMs()),
      sentAtMs: Math.floor(clock.monotonicMs()),
      ...(echoMs === undefined ? {} : { echoMs }),
    }
  }

  function sendOwn(): void {
    if (lifetime.signal.aborted) return
    receiver.payCredit()
    send({ type: 'bookmark', bookmark: own() })
  }

  const pulse = startPulse(clock, sendOwn, deps.silent)
  return {
    pulse,
    counters,
    /** A bookmark of the peer has arrived. */
    receive(bookmark: Bookmark): void {
      echoMs = bookmark.sentAtMs
      onBookmark(bookmark)
    },
  }
}

export type Bookmarks = ReturnType<typeof startBookmarks>
