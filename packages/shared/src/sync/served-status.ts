import type { Position } from '../store/store.ts'
import type { Verdict } from './log/messages.ts'

/** What a zone serves. */
export interface ServedStatus {
  /** The position in the log of the global that all proxies serve; it is valid as long as that log holds it. */
  readonly served: Position | undefined
  readonly verdicts: readonly Verdict[]
  readonly silentProxies: readonly string[]
  readonly proxies: number
  readonly proxiesConnected: number
}

/** The status of a plane without proxies. */
export const nothingServed: ServedStatus = {
  served: undefined,
  verdicts: [],
  silentProxies: [],
  proxies: 0,
  proxiesConnected: 0,
}
