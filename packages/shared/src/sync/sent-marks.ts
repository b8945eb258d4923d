import type { Clock } from '../env/clock.ts'
import type { Position } from '../store/store.ts'
import type { Message } from './log/messages.ts'
import type { OutboundEffect } from './log/outbound.ts'

const idleMarkMs = 40

type Send = Extract<OutboundEffect, { type: 'send' }>

/**
 * Sends rows and marks. Every commit is a mark for every peer. A mark without rows waits for a moment, and a later mark
 * replaces it. The first mark of a session never waits, because it shows the peer whether it has missed anything.
 */
export function createSentMarks(clock: Clock, send: (message: Message) => void) {
  let waiting: Send['message'] | undefined
  /**
   * The last mark that was sent, or the initial position of the peer. A bookmark never reports a mark that still waits.
   */
  let sent: Position | undefined
  let isFirst = true
  let isClosed = false
  let timer: Disposable | undefined

  function sendNow(message: Send['message']): void {
    if (message.type === 'mark') {
      sent = message.position
      isFirst = false
    }
    send(message)
  }

  function sendWaiting(): void {
    timer = undefined
    if (waiting && !isClosed) sendNow(waiting)
    waiting = undefined
  }

  return {
    /** The peer has everything up to this position from former sessions. */
    begin(position: Position | undefined): void {
      sent = position
    },
    send({ message, idle }: Send): void {
      waiting = idle && !isFirst ? message : undefined
      if (!waiting) sendNow(message)
      else timer ??= clock.after(idleMarkMs, sendWaiting)
    },
    sent: (): Position | undefined => sent,
    [Symbol.dispose](): void {
      isClosed = true
      timer?.[Symbol.dispose]()
    },
  }
}
