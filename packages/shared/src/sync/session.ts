import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Tracer } from '../env/trace.ts'
import type { Origin } from '../resource/resource.ts'
import type { Position, Store } from '../store/store.ts'
import type { Channel } from '../transport/transport.ts'
import { type BookmarkOptions, type Bookmarks, startBookmarks } from './bookmarks.ts'
import { createFrameOrder } from './frame-order.ts'
import { createLifetime, type Lifetime, type SessionEnd } from './lifetime.ts'
import type { Counters, GoodbyeCode, Hold, Message, Report } from './log/messages.ts'
import { createPatience } from './patience.ts'
import { createReceiver, type Receiver, type ReceiverOptions } from './receiver.ts'
import { createSender, type Sender, type SenderOptions } from './sender.ts'
import { type Ask, type Queries, type QueryOptions, startQueries } from './session-queries.ts'

export interface SessionDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** Default: nothing is traced. */
  readonly tracer?: Tracer | undefined
}

export interface SessionOptions extends SenderOptions, ReceiverOptions, BookmarkOptions {
  readonly channel: Channel
  /** The peer requests the release of this hold. */
  readonly onRelease: (hold: string) => void
  /** Why our store accepts no commits at the moment; empty if it does. */
  readonly onBlocked?: (reason: string) => void
  readonly onReport: (report: Report) => void
  readonly queries: QueryOptions
}

export interface Session {
  /** Resolves after the last effect: from then on the session no longer changes the store. */
  readonly done: Promise<SessionEnd>
  readonly sent: () => Position | undefined
  readonly stored: () => Position | undefined
  readonly counters: () => Counters
  /** The change that this plane holds until an operator releases it. */
  readonly hold: () => Hold | undefined
  /** Releases the hold of this plane that has this id. */
  release(hold: string): void
  /** Requests that the peer releases its hold. */
  askRelease(hold: string): void
  /** From revision `at` on, this store has all rows of these origins, of which the peer had rows before. */
  late(origins: readonly Origin[], at: number): void
  /** There may be a newer mark. */
  wake(): void
  /** A value that a bookmark reports has changed. */
  announce(): void
  /** Sends a report; resolves when the channel accepts more, or has ended. */
  report(report: Report): Promise<void>
  /** Asks the peer; resolves with its answer, or with the reason why there is none. */
  readonly ask: Ask
  end(code: GoodbyeCode, reason: string): void
}

/**
 * Runs a session after its handshake. Both planes use it. A sender and a receiver perform the effects of the two steps,
 * one for each direction. The session connects them with the channel and opens them at the mark of its store.
 */
export function startSession(deps: SessionDeps, options: SessionOptions): Session {
  const { store, clock, log, tracer } = deps
  const { channel, peer } = options
  const { send, read } = createFrameOrder(channel)
  const lifetime = createLifetime({ log, channel, peer, send, close })
  const { signal } = lifetime
  const { patiently, blocked } = createPatience(clock, signal, blockedChanged)
  const sender = createSender({ store, clock, lifetime, patiently, send }, options)
  const announce = () => bookmarks.pulse.announce()
  const receiver = createReceiver({ store, clock, log, tracer, lifetime, patiently, send, announce }, options)
  const bookmarks = startBookmarks({ clock, lifetime, sender, receiver, send, blocked, silent }, options)
  const queries = startQueries({ clock, channel, sender, lifetime, peer, send }, options.queries)

  function close(): void {
    for (const part of [sender, bookmarks.pulse, receiver, queries]) part[Symbol.dispose]()
  }

  function silent(silentMs: number): void {
    const reason = `no frame arrived for ${silentMs} ms`
    channel.cut(reason)
    lifetime.lost(reason)
  }

  /** The reason appears in our log and, with the next bookmark, at the peer. */
  function blockedChanged(reason: string): void {
    if (reason === '') log.info({ peer }, 'the store takes writes again')
    else log.warn({ peer, reason }, 'a session waits for the store')
    options.onBlocked?.(reason)
    announce()
  }

  function receive(bytes: Uint8Array): void {
    if (signal.aborted) return
    const frame = read(bytes)
    if (frame.type === 'repeated') return
    if (frame.type === 'faulty') return void lifetime.end(frame.code, frame.reason)
    bookmarks.pulse.received()
    if (frame.message) deliver(frame.message, { sender, receiver, bookmarks, lifetime, queries }, options)
  }

  async function open(): Promise<void> {
    const localMark = await store.mark()
    sender.open(localMark)
    receiver.open(localMark)
    if (!signal.aborted) bookmarks.pulse.beat()
    channel.onMessage(receive)
  }

  sender.follow()
  void channel.ended.then(({ reason }) => lifetime.lost(reason))
  lifetime.run(open())
  return {
    done: lifetime.done,
    sent: sender.sent,
    stored: receiver.stored,
    counters: bookmarks.counters,
    hold: receiver.hold,
    release: receiver.release,
    askRelease: (hold) => void send({ type: 'release', hold }),
    late: sender.late,
    wake: sender.wake,
    announce,
    report(report) {
      if (!signal.aborted) send({ type: 'report', report })
      return channel.drained()
    },
    ask: queries.ask,
    end: lifetime.end,
  }
}

interface Parts {
  readonly sender: Sender
  readonly receiver: Receiver
  readonly bookmarks: Bookmarks
  readonly lifetime: Lifetime
  readonly queries: Queries
}

/** Delivers a message to the part of the session, or of its plane, that it concerns. */
function deliver(message: Message, parts: Parts, options: SessionOptions): void {
  const { sender, receiver, bookmarks, lifetime, queries } = parts
  switch (message.type) {
    case 'rows':
    case 'mark':
    case 'replace':
      return void receiver.receive(message)
    case 'credit':
      return void sender.credited(message.bytes)
    case 'bookmark':
      return void bookmarks.receive(message.bookmark)
    case 'report':
      return void options.onReport(message.report)
    case 'release':
      return void options.onRelease(message.hold)
    case 'query':
      return void queries.receive(message.frame)
    case 'goodbye':
      return void lifetime.endedByPeer(message.goodbye)
    case 'hello':
    case 'welcome':
      return void lifetime.end('protocol', `a second ${message.type}`)
  }
}
