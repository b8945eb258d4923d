import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'

/** Each read of the wall clock is one millisecond later than the previous one. */
export function createTickingClock(): Clock & { advance(byMs: number): void } {
  const clock = createVirtualClock(1_000)
  const wallMs = () => {
    clock.advance(1)
    return clock.wallMs()
  }
  return { ...clock, wallMs }
}
