import type { Clock } from '../env/clock.ts'

/**
 * What a link carries, told by what its other end has credited: buffers on the way do not deceive it. Measured while
 * something is on its way; in between the last figure stands.
 */
export function createThroughput(clock: Clock) {
  let onTheWay = 0
  let sinceMs = 0
  let credited = 0
  let bytesPerSecond: number | undefined
  return {
    sent(bytes: number): void {
      if (onTheWay <= 0) {
        sinceMs = clock.monotonicMs()
        credited = 0
      }
      onTheWay += bytes
    },
    credited(bytes: number): void {
      onTheWay = Math.max(0, onTheWay - bytes)
      credited += bytes
      const elapsedMs = Math.max(1, clock.monotonicMs() - sinceMs)
      if (credited > 0) bytesPerSecond = (credited / elapsedMs) * 1000
    },
    /** Undefined before anything was credited. */
    bytesPerSecond: (): number | undefined => bytesPerSecond,
  }
}
