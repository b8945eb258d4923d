import type { Clock } from '@zonemesh/shared/env/clock.ts'

/** How far the proxies of this zone have come. */
export interface Served {
  /** Every table made from marks up to this one has its verdict from every proxy that answers. */
  readonly mark: number
  /** Proxies that were left out because they have been silent for too long. */
  readonly silent: readonly string[]
}

const silentAfterMs = 2_000

/**
 * Counts which tables are still on their way. A mark that changes nothing for a proxy is served by it at once; a proxy
 * that does not answer within two seconds is left out and named.
 */
export function createProgress(clock: Clock) {
  let done = 0
  const waiting = new Map<string, { mark: number; sinceMs: number }[]>()
  return {
    /** A table of this mark was handed to the proxy's stream. */
    sent(proxy: string, mark: number): void {
      const list = waiting.get(proxy) ?? []
      if (list.at(-1)?.mark === mark) return
      list.push({ mark, sinceMs: clock.monotonicMs() })
      waiting.set(proxy, list)
    },
    served(proxy: string, mark: number): void {
      const rest = (waiting.get(proxy) ?? []).filter((entry) => entry.mark > mark)
      if (rest.length > 0) waiting.set(proxy, rest)
      else waiting.delete(proxy)
    },
    gone: (proxy: string): void => void waiting.delete(proxy),
    /** The newest mark that one proxy has answered in full. */
    servedBy: (proxy: string): number => {
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
