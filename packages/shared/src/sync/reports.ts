import type { JsonObject } from '../base/base.ts'
import { type Clock, delay } from '../env/clock.ts'
import type { Latest } from '../streams/latest.ts'
import type { Report } from './log/messages.ts'
import type { Session } from './session.ts'

/** Reports are status and need not be fresh, so a delay of a second is acceptable. */
const reportEveryMs = 1_000
const entriesPerFrame = 200

/** Reads the present report. It is built only when it is sent: a large zone changes it far more often. */
export type ReadReport = () => Readonly<Record<string, JsonObject>>

/**
 * Sends the differences of a report since the last frame of this session, at most once per second, until the signal
 * aborts.
 */
export async function sendReports(
  clock: Clock,
  report: Latest<ReadReport>,
  session: Pick<Session, 'report'>,
  signal: AbortSignal,
): Promise<void> {
  const sent = new Map<string, { readonly value: JsonObject; readonly text: string }>()
  let reset = true
  for await (const read of report.watch(signal)) {
    const frames = framesOf(differences(sent, read()))
    if (reset && frames.length === 0) frames.push({ changed: [], removed: [] })
    for (const frame of frames) {
      await session.report({ ...frame, reset })
      reset = false
    }
    await delay(clock, reportEveryMs, signal).catch(() => {})
  }
}

interface Stock {
  readonly bytesByKey: Map<string, number>
  bytes: number
  leftOut: number
}

/**
 * The reports of zones at the global. Each has at most `bytesMax` bytes of keys and values as JSON. An entry that does
 * not fit is left out, together with its former value, which is outdated. The count of such entries starts again when
 * the zone resets its report.
 */
export function createReportStock(bytesMax: number) {
  const stockByZone = new Map<string, Stock>()
  return {
    /** Applies a report: returns the whole report after it, and how many entries are left out. */
    changed(
      zone: string,
      former: Readonly<Record<string, JsonObject>>,
      { reset, changed, removed }: Report,
    ): { readonly report: Readonly<Record<string, JsonObject>>; readonly reportLeftOut: number } {
      const known = reset ? undefined : stockByZone.get(zone)
      const stock = known ?? { bytesByKey: new Map<string, number>(), bytes: 0, leftOut: 0 }
      const report = known ? { ...former } : {}
      stockByZone.set(zone, stock)
      const remove = (key: string): void => {
        stock.bytes -= stock.bytesByKey.get(key) ?? 0
        stock.bytesByKey.delete(key)
        delete report[key]
      }
      for (const key of removed) remove(key)
      for (const { key, value } of changed) {
        remove(key)
        const bytes = key.length + JSON.stringify(value).length
        if (stock.bytes + bytes > bytesMax) {
          stock.leftOut += 1
          continue
        }
        report[key] = value
        stock.bytesByKey.set(key, bytes)
        stock.bytes += bytes
      }
      return { report, reportLeftOut: stock.leftOut }
    },
  }
}

function differences(
  sent: Map<string, { readonly value: JsonObject; readonly text: string }>,
  now: Readonly<Record<string, JsonObject>>,
): Omit<Report, 'reset'> {
  const changed: { key: string; value: JsonObject }[] = []
  for (const [key, value] of Object.entries(now)) {
    const former = sent.get(key)
    if (former?.value === value) continue
    const text = JSON.stringify(value)
    if (former?.text !== text) changed.push({ key, value })
    sent.set(key, { value, text })
  }
  const removed = [...sent.keys()].filter((key) => !Object.hasOwn(now, key))
  for (const key of removed) sent.delete(key)
  return { changed, removed }
}

/** The removals come first. Without a difference there is no frame. */
function framesOf({ changed, removed }: Omit<Report, 'reset'>): Omit<Report, 'reset'>[] {
  const frames: Omit<Report, 'reset'>[] = []
  if (removed.length > 0) frames.push({ changed: [], removed })
  for (let start = 0; start < changed.length; start += entriesPerFrame) {
    frames.push({ changed: changed.slice(start, start + entriesPerFrame), removed: [] })
  }
  return frames
}
