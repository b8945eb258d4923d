import type { Clock } from '../env/clock.ts'
import { createInflow, type InflowLimit } from './inflow.ts'

/** How many bytes a peer may send before it gets more credit. */
export const creditWindowBytes = 4 * 1024 * 1024
const creditStepBytes = 32 * 1024

interface Deps {
  readonly clock: Clock
  /** How fast rows are credited. Undefined: at once. */
  readonly inflow: InflowLimit | undefined
  readonly send: (bytes: number) => void
}

/** The credit of a peer: what it may still send, and what we owe it for the rows that it has sent. */
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
    /**
     * Rows have arrived. False if the peer had no credit. One frame may exceed the credit: a peer sends while it has any
     * credit.
     */
    received(bytes: number): boolean {
      const isAllowed = allowed > 0
      allowed -= bytes
      return isAllowed
    },
    /** Rows are staged, so the peer may send as many more bytes. */
    owe(bytes: number): void {
      owed += bytes
      if (owed >= creditStepBytes) pay()
    },
    /** Sends the owed credit, even a small amount. */
    pay,
    [Symbol.dispose](): void {
      isClosed = true
      timer?.[Symbol.dispose]()
    },
  }
}
