import type { Clock } from '../env/clock.ts'
import type { Verdict } from './log/messages.ts'
import type { ZoneBoard, ZoneStatus } from './zone-status.ts'

export type ReceiptLevel = 'stored' | 'served'

/**
 * The state of a revision in one zone. `delayMs` is the time from the commit to the bookmark that reported it, by one
 * clock.
 */
export type Receipt = {
  readonly zone: string
  readonly verdicts: readonly Verdict[]
  readonly silentProxies: readonly string[]
} & (
  | { readonly state: 'done'; readonly delayMs: number | undefined }
  | { readonly state: 'pending'; readonly reason: string }
)

export interface WaitOptions {
  readonly revision: number
  readonly level: ReceiptLevel
  readonly zones: readonly string[]
  readonly timeoutMs: number
}

/**
 * Waits until all zones have a revision, until the timeout, or until the signal aborts. Zones without the revision are
 * then pending, each with a reason. The wait includes zones that are not connected, because they may reconnect in time.
 */
export async function waitForReceipts(
  clock: Clock,
  board: ZoneBoard,
  options: WaitOptions,
  signal: AbortSignal,
): Promise<readonly Receipt[]> {
  await untilReached(clock, board, options, options.zones.length, signal)
  return options.zones.map((zone) => receiptOf(board, zone, options))
}

/** Resolves when `enough` of the zones have a revision, after the timeout, or when the signal aborts. */
export async function untilReached(
  clock: Clock,
  board: ZoneBoard,
  options: WaitOptions,
  enough: number,
  signal: AbortSignal,
): Promise<void> {
  const mayMiss = options.zones.length - enough
  let missing = options.zones.filter((zone) => !has(board, zone, options))
  if (missing.length <= mayMiss) return
  await new Promise<void>((resolve) => {
    const finish = () => {
      listening[Symbol.dispose]()
      timer[Symbol.dispose]()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = clock.after(options.timeoutMs, finish)
    const listening = board.onChange(() => {
      missing = missing.filter((zone) => !has(board, zone, options))
      if (missing.length <= mayMiss) finish()
    })
    if (signal.aborted) finish()
    else signal.addEventListener('abort', finish, { once: true })
  })
}

const has = (board: ZoneBoard, zone: string, { level, revision }: WaitOptions) =>
  (board.status(zone)?.[level] ?? 0) >= revision

function receiptOf(board: ZoneBoard, zone: string, { revision, level }: WaitOptions): Receipt {
  const status = board.status(zone)
  const verdicts = status?.verdicts.filter((verdict) => verdict.outcome !== 'accepted') ?? []
  const facts = { zone, verdicts, silentProxies: status?.silentProxies ?? [] }
  if (!status || status[level] < revision)
    return { ...facts, state: 'pending', reason: pendingReason(status, level, revision) }
  const reachedAtMs = board.progressOf(zone).find((progress) => progress[level] >= revision)?.atMs
  const committedAtMs = board.committedAtMs(revision)
  const delayMs =
    reachedAtMs === undefined || committedAtMs === undefined ? undefined : Math.max(0, reachedAtMs - committedAtMs)
  return { ...facts, state: 'done', delayMs }
}

function pendingReason(status: ZoneStatus | undefined, level: ReceiptLevel, revision: number): string {
  if (!status?.connected) return status?.lastEnd ? `not connected: ${status.lastEnd}` : 'not connected'
  return `${level} ${status[level]} of ${revision}`
}
