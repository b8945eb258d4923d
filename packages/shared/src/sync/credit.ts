import type { Clock } from '../env/clock.ts'
import { createInflow, type InflowLimit } from './inflow.ts'

/** What either end lets the other send before it credits more. */
export const creditWindowBytes = 4 * 1024 * 1024
const creditStepBytes = 32 * 1024

interface Deps {
  readonly clock: Clock
  /** How fast rows are credited; at once without it. */
  readonly inflow: InflowLimit | undefined
  readonly send: (bytes: number) => void
}

/** What a peer may send: credit that it has, and credit that is owed for the rows that it has sent. */
export function createCredit({ clock, inflow, send }: Deps) {
  const limit = inflow && createInflow(clock, inflow)
  let owed = 0
  /** Bytes of rows that the peer may still send. */
  let allowed = creditWindowBytes
  let timer: Disposable | undefined
  let isClosed = false

  function pay(): void {
    if (isClosed || owed === 0 || timer) return
    const waitMs = limit?.take(owed) ?? 0
    if (waitMs > 0) {
      timer = clock.after(waitMs, () => {
        timer = undefined
        pay()
      })
      return
    }
    allowed += owed
    send(owed)
    owed = 0
  }

  return {
    /** Rows came. False if the peer had no credit; it may go below zero by one frame, because it sends while it has any. */
    received(bytes: number): boolean {
      const isAllowed = allowed > 0
      allowed -= bytes
      return isAllowed
    },
    /** Rows are staged: others may come instead. */
    owe(bytes: number): void {
      owed += bytes
      if (owed >= creditStepBytes) pay()
    },
    /** Sends what is owed, also if it is little. */
    pay,
    [Symbol.dispose](): void {
      isClosed = true
      timer?.[Symbol.dispose]()
    },
  }
}
