import type { Socket } from 'node:net'
import type { Clock } from '@zonemesh/shared/env/clock.ts'

/** One direction of a relay, shared by its connections: its present faults and its byte counts. */
export interface Lane {
  /** When the next byte may be sent, if there is a rate limit. */
  freeAtMs: number
  passed: number
  waiting: number
  lost: number
  /** The packets that were sent again because they were lost. */
  retransmitted: number
  isClosed(): boolean
  delayMs(): number
  /** Whether a packet is lost now. */
  isLost(): boolean
  bytesPerSecond(): number | undefined
}

/** Bytes above this limit wait in the sender, as on a real line. */
const waitingBytesMax = 1_048_576
/** With a rate limit, the share of a second's bytes that is sent at once. */
const sliceSeconds = 0.05

/** TCP sends a lost packet again after at least this time, and waits twice as long each time that it is lost again. */
const retransmitAfterMs = 200
const retransmissionsMax = 6

function retransmissionMs(lane: Lane): number {
  let waitMs = 0
  for (let turn = 0; turn < retransmissionsMax && lane.isLost(); turn += 1) {
    lane.retransmitted += 1
    waitMs += retransmitAfterMs * 2 ** turn
  }
  return waitMs
}

/** Forwards bytes from one socket to another in order, with the delay and rate of the lane. */
export function createPipe(clock: Clock, lane: Lane, from: Socket, to: Socket) {
  const queue: { bytes: Buffer; readonly dueMs: number }[] = []
  let waiting = 0
  let lastDueMs = 0
  let timer: Disposable | undefined
  let isDiscarding = false
  let onEmpty: (() => void) | undefined

  from.on('data', (bytes) => {
    if (isDiscarding) {
      lane.lost += bytes.length
      return
    }
    // Bytes of one connection stay in order, even if a later delay is shorter.
    lastDueMs = Math.max(lastDueMs, clock.monotonicMs() + lane.delayMs() + retransmissionMs(lane))
    queue.push({ bytes, dueMs: lastDueMs })
    count(bytes.length)
    if (waiting > waitingBytesMax) from.pause()
    pump()
  })
  to.on('drain', pump)
  to.on('connect', pump)

  function count(bytes: number): void {
    waiting += bytes
    lane.waiting += bytes
  }

  function later(atMs: number): void {
    timer?.[Symbol.dispose]()
    timer = clock.after(Math.max(1, atMs - clock.monotonicMs()), pump)
  }

  function pump(): void {
    for (;;) {
      const [head] = queue
      if (!head) break
      if (lane.isClosed() || to.connecting || to.writableNeedDrain) return
      const nowMs = clock.monotonicMs()
      const rate = lane.bytesPerSecond()
      const dueMs = Math.max(head.dueMs, rate === undefined ? 0 : lane.freeAtMs)
      if (dueMs > nowMs) {
        later(dueMs)
        return
      }
      const most = rate === undefined ? head.bytes.length : Math.max(1, Math.floor(rate * sliceSeconds))
      const part = head.bytes.subarray(0, most)
      head.bytes = head.bytes.subarray(most)
      if (head.bytes.length === 0) queue.shift()
      if (rate !== undefined) lane.freeAtMs = nowMs + (part.length / rate) * 1_000
      count(-part.length)
      if (to.writable) {
        lane.passed += part.length
        to.write(part)
      } else lane.lost += part.length
      if (waiting <= waitingBytesMax) from.resume()
    }
    if (lane.isClosed() || !onEmpty) return
    const callback = onEmpty
    onEmpty = undefined
    callback()
  }

  function drop(): void {
    timer?.[Symbol.dispose]()
    lane.lost += waiting
    count(-waiting)
    queue.length = 0
  }

  return {
    pump,
    /** Calls back once all received bytes are forwarded and the lane is open. */
    whenEmpty(callback: () => void): void {
      onEmpty = callback
      pump()
    },
    /** Reads and discards all further bytes. */
    swallow(): void {
      isDiscarding = true
      drop()
      from.resume()
    },
    destroy(): void {
      isDiscarding = true
      onEmpty = undefined
      drop()
    },
  }
}
