import type { Clock } from '../env/clock.ts'

/**
 * Measures the throughput of a link by the credit of the peer, so that buffers on the path do not distort it. It
 * measures only while bytes are in flight; otherwise the last value stays.
 */
export function createThroughput(clock: Clock) {
  let inFlight = 0
  let sinceMs = 0
  let credited = 0
  let bytesPerSecond: number | undefined
  return {
    sent(bytes: number): void {
      if (inFlight <= 0) {
        sinceMs = clock.monotonicMs()
        credited = 0
      }
      inFlight += bytes
    },
    credited(bytes: number): void {
      inFlight = Math.max(0, inFlight - bytes)
      credited += bytes
      const elapsedMs = Math.max(1, clock.monotonicMs() - sinceMs)
      if (credited > 0) bytesPerSecond = (credited / elapsedMs) * 1000
    },
    /** Undefined before the first credit. */
    bytesPerSecond: (): number | undefined => bytesPerSecond,
  }
}
