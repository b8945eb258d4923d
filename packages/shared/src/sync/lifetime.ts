import { messageOf } from '../base/base.ts'
import type { Log } from '../env/log.ts'
import type { Origin } from '../resource/resource.ts'
import type { Channel } from '../transport/transport.ts'
import type { Goodbye, GoodbyeCode, Message } from './log/messages.ts'

export interface SessionEnd {
  /** Undefined if the connection was lost without a goodbye. */
  readonly goodbye: (Goodbye & { readonly by: 'self' | 'peer' }) | undefined
  readonly reason: string
}

interface Deps {
  readonly log: Log
  readonly channel: Pick<Channel, 'end'>
  readonly peer: Origin
  readonly send: (message: Message) => void
  /** Stops the timers and listeners of the session. Called once. */
  readonly close: () => void
}

/**
 * The end of a session and the effects that it waits for. A session ends once, and only the first reason counts. A
 * commit cannot be taken back, so `done` resolves after the last effect: from then on the session no longer changes the
 * store.
 */
export function createLifetime({ log, channel, peer, send, close }: Deps) {
  const done = Promise.withResolvers<SessionEnd>()
  const underway = new Set<Promise<void>>()
  const ending = new AbortController()
  const { signal } = ending

  function finish(end: SessionEnd): void {
    if (signal.aborted) return
    ending.abort()
    close()
    void Promise.allSettled(underway).then(() => done.resolve(end))
  }

  function end(code: GoodbyeCode, reason: string): void {
    if (signal.aborted) return
    send({ type: 'goodbye', goodbye: { code, reason } })
    channel.end()
    finish({ goodbye: { code, reason, by: 'self' }, reason })
  }

  return {
    done: done.promise,
    /** Aborted once the session ends. Effects that are underway at that time still finish. */
    signal,
    /** Ends the session with a goodbye to the peer. */
    end,
    /** The peer has ended the session. */
    endedByPeer(goodbye: Goodbye): void {
      channel.end()
      finish({ goodbye: { ...goodbye, by: 'peer' }, reason: goodbye.reason })
    },
    /** The connection is lost without a goodbye. */
    lost: (reason: string): void => finish({ goodbye: undefined, reason }),
    /** Runs an asynchronous effect. If it fails, the session ends, and the next session resumes by position. */
    run(task: Promise<void>): void {
      const guarded = task
        .catch((cause: unknown) => {
          if (signal.aborted) return
          log.warn({ peer, err: cause }, 'a sync session failed')
          end('failed', messageOf(cause))
        })
        .finally(() => underway.delete(guarded))
      underway.add(guarded)
    },
  }
}

export type Lifetime = ReturnType<typeof createLifetime>
