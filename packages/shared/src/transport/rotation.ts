import { err } from '../base/base.ts'
import type { Dialer, DialFailure } from './transport.ts'

/**
 * Dials several addresses of one peer in turn, from the one that worked last. A failure names all addresses. It is a
 * refusal only if each address refuses, because another machine may answer at one of them.
 */
export function dialInTurn(dialers: readonly Dialer[]): Dialer {
  let first = 0
  /** The dialer whose channel the caller uses. A channel may turn out to be broken only later. */
  let used: number | undefined
  return {
    async dial(signal) {
      used = undefined
      const failures: DialFailure[] = []
      for (let step = 0; step < dialers.length && !signal.aborted; step++) {
        const at = (first + step) % dialers.length
        const dialled = await dialers[at]?.dial(signal)
        if (dialled?.ok) {
          first = used = at
          return dialled
        }
        dialers[at]?.forget()
        if (dialled) failures.push(dialled.error)
      }
      return err({
        refused: failures.length > 0 && failures.every(({ refused }) => refused),
        reason: failures.map(({ reason }) => reason).join('; ') || 'stopped',
      })
    },
    forget() {
      if (used === undefined) return
      dialers[used]?.forget()
      first = (used + 1) % dialers.length
      used = undefined
    },
  }
}
