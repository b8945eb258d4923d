import type { Clock } from '@zonemesh/shared/env/clock.ts'

/** How far the proxies of this zone have come. */
export interface Served {
  /** Every table made from marks up to this one has its verdict from every proxy that answers. */
  readonly mark: number
  /** Proxies that were left out because they have been silent for too long. */
  readonly silent: readonly string[]
}

const silentAfterMs = 2_000

interface Sent {
  readonly serial: number
  readonly mark: number
  readonly sinceMs: number
}

/**
 * Counts which tables are still on their way. A mark that changes nothing for a proxy is served by it at once; a proxy
 * that does not answer within two seconds is left out and named.
 */
export function createProgress(clock: Clock) {
  let done = 0
  const waiting = new Map<string, readonly Sent[]>()
  /** Proxies that have accepted a table in this life of theirs. */
  const accepted = new Set<string>()
  return {
    /** A table was handed to the proxy's stream. Serials grow; several tables may be of one mark. */
    sent(proxy: string, serial: number, mark: number): void {
      waiting.set(proxy, [...(waiting.get(proxy) ?? []), { serial, mark, sinceMs: clock.monotonicMs() }])
    },
    /** Everything up to this serial has its verdict. */
    served(proxy: string, serial: number): void {
      accepted.add(proxy)
      const rest = (waiting.get(proxy) ?? []).filter((entry) => entry.serial > serial)
      if (rest.length > 0) waiting.set(proxy, rest)
      else waiting.delete(proxy)
    },
    gone(proxy: string): void {
      waiting.delete(proxy)
      accepted.delete(proxy)
    },
    /** The newest mark that one proxy has answered in full; 0 before it has answered anything. */
    servedBy(proxy: string): number {
      if (!accepted.has(proxy)) return 0
      const [first] = waiting.get(proxy) ?? []
      return first ? first.mark - 1 : done
    },
    /** All tables of this mark have been handed out. */
    compiled(mark: number): void {
      done = mark
    },
    read(): Served {
      const nowMs = clock.monotonicMs()
      const silent: string[] = []
      let mark = done
      for (const [proxy, [first]] of waiting) {
        if (!first) continue
        if (nowMs - first.sinceMs > silentAfterMs) silent.push(proxy)
        else mark = Math.min(mark, first.mark - 1)
      }
      return { mark, silent: silent.sort() }
    },
  }
}
export type Progress = ReturnType<typeof createProgress>
