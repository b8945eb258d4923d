import type { Clock } from '@zonemesh/shared/env/clock.ts'

/** The newest mark that the proxies of this zone serve. */
export interface Served {
  /** Every responsive proxy has answered every table of the marks up to this one. */
  readonly mark: number
  /** Proxies that do not count, because they have not answered for too long. */
  readonly silent: readonly string[]
}

const silentAfterMs = 2_000

export interface ProgressObserver {
  /** A proxy has answered a table. */
  tableServed(delayMs: number): void
}

interface Sent {
  readonly serial: number
  readonly mark: number
  readonly sinceMs: number
}

/**
 * Follows which tables wait for an answer. A mark that changes nothing for a proxy counts as served by it at once. A
 * proxy that does not answer within two seconds does not count, and is listed as silent.
 */
export function createProgress(clock: Clock, observer?: ProgressObserver) {
  let done = 0
  const waiting = new Map<string, readonly Sent[]>()
  /** Proxies that have answered a table on their present stream. */
  const answered = new Set<string>()
  return {
    /** A table was sent to a proxy. Serials grow; several tables may belong to one mark. */
    sent(proxy: string, serial: number, mark: number): void {
      waiting.set(proxy, [...(waiting.get(proxy) ?? []), { serial, mark, sinceMs: clock.monotonicMs() }])
    },
    /** A proxy has answered every table up to this serial. */
    served(proxy: string, serial: number): void {
      answered.add(proxy)
      const tables = waiting.get(proxy) ?? []
      const rest = tables.filter((entry) => entry.serial > serial)
      if (observer && rest.length < tables.length) {
        const nowMs = clock.monotonicMs()
        for (const { serial: one, sinceMs } of tables) if (one <= serial) observer.tableServed(nowMs - sinceMs)
      }
      if (rest.length > 0) waiting.set(proxy, rest)
      else waiting.delete(proxy)
    },
    gone(proxy: string): void {
      waiting.delete(proxy)
      answered.delete(proxy)
    },
    /** The newest mark that one proxy has answered in full; 0 before it has answered anything. */
    servedBy(proxy: string): number {
      if (!answered.has(proxy)) return 0
      const [first] = waiting.get(proxy) ?? []
      return first ? first.mark - 1 : done
    },
    /** All tables of this mark were sent. */
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
