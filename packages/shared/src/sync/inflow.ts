import type { Clock } from '../env/clock.ts'

/** The average rate at which a peer may send, and how much it may send at once after a pause. */
export interface InflowLimit {
  readonly bytesPerSecond: number
  readonly burstBytes: number
}

/** Decides when received rows are credited, so that no peer takes more of this process than its share. */
export function createInflow(clock: Clock, { bytesPerSecond, burstBytes }: InflowLimit) {
  let left = burstBytes
  let atMs = clock.monotonicMs()
  return {
    /** Takes the bytes and returns 0, or returns the milliseconds after which they can be taken. */
    take(bytes: number): number {
      const nowMs = clock.monotonicMs()
      left = Math.min(burstBytes, left + ((nowMs - atMs) * bytesPerSecond) / 1_000)
      atMs = nowMs
      // More bytes than a whole burst never fit, so they are taken once the burst is full.
      const missing = Math.min(bytes, burstBytes) - left
      if (missing > 0) return Math.ceil((missing * 1_000) / bytesPerSecond)
      left -= bytes
      return 0
    },
  }
}
