import type { JsonObject } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import {
  type Bookmark,
  type Counters,
  type Goodbye,
  type GoodbyeCode,
  type Hello,
  type Hold,
  noCounters,
  type Report,
  type Verdict,
} from './log/messages.ts'
import type { Agreement } from './log/protocol.ts'
import { clockAheadMs, silenceMaxMs } from './pulse.ts'
import { createReportStock } from './reports.ts'
import type { SessionEnd } from './session.ts'

/** What the global knows of one zone's session. Revisions are the global's, but for `up`, which are the zone's. */
export interface ZoneStatus {
  readonly zone: string
  readonly connected: boolean
  /** Wall clock: when it connected, or when it was lost. */
  readonly sinceMs: number
  readonly epoch: number
  readonly storeId: string
  readonly incarnation: number
  readonly host: string
  readonly startedAtMs: number
  readonly version: string
  /** What its newest session uses of the protocol. */
  readonly agreement: Agreement
  /** The newest mark sent to the zone, stored by it, and served by all its live proxies. */
  readonly sent: number
  readonly stored: number
  readonly served: number
  /** Revisions of the global that the zone has not stored yet, and since when the oldest of them waits. */
  readonly lag: number
  readonly lagMs: number
  /** It has stored all there is, by a bookmark that is younger than the time after which a session is cut. */
  readonly current: boolean
  /** The newest mark that the zone has sent us, and that we have stored. */
  readonly up: { readonly sent: number; readonly stored: number }
  readonly lastBookmarkAtMs: number
  /** How far the wall clock of the zone was ahead of ours at the last bookmark; negative: behind. */
  readonly clockAheadMs: number
  /** Wall clock of the last bookmark that told more stored or served than the one before. */
  readonly lastProgressAtMs: number
  /** What the zone keeps back until an operator says so. */
  readonly holds: readonly Hold[]
  /** Why the zone cannot store what it gets, for now; empty: it can. */
  readonly blocked: string
  readonly verdicts: readonly Verdict[]
  readonly silentProxies: readonly string[]
  readonly counters: Counters
  /** What the zone last reported of its proxies, by key text; kept while it is away. */
  readonly report: Readonly<Record<string, JsonObject>>
  /** So many entries were left out of the report because it was too large. */
  readonly reportLeftOut: number
  /** What the zone was told when its last session was refused or ended. */
  readonly lastEnd: string | undefined
  /** Of the same; undefined if the connection was lost without a word. */
  readonly lastEndCode: GoodbyeCode | undefined
  /** Wall clock of the same. */
  readonly lastEndAtMs: number
}

/** When a zone first told that it had a revision: monotonic clock, oldest first. */
export interface Progress {
  readonly stored: number
  readonly served: number
  readonly atMs: number
}

/** A status, and when the zone was last heard: monotonic clock. */
export interface KnownZone {
  readonly status: ZoneStatus
  readonly heardAtMs: number
}

type Levels = Pick<ZoneStatus, 'stored' | 'served'>

/** A server looks every 2 s. */
const markKnownMs = 3_000
const progressMax = 1024
const marksMax = 4096

/** The state of all zones that were ever seen by this process, and the times that receipts are made of. */
export function createZoneBoard(
  clock: Clock,
  onStatus: (status: ZoneStatus) => void,
  reportBytesMax = Number.POSITIVE_INFINITY,
) {
  const reports = createReportStock(reportBytesMax)
  const statusByZone = new Map<string, ZoneStatus>()
  // Limit: the newest 1,024 steps of a zone; a receipt for an older one has no delay to show.
  const progressByZone = new Map<string, Progress[]>()
  // Limit: the newest 4,096 marks, the same.
  const marks: { readonly revision: number; readonly atMs: number }[] = []
  const listeners = new Set<() => void>()
  const headRevision = () => marks.at(-1)?.revision ?? 0
  /** Zones whose newest known session was with this process. */
  const ownZones = new Set<string>()
  const followedByZone = new Map<string, ZoneStatus>()
  /** When each zone was last heard: monotonic clock. */
  const heardMs = new Map<string, number>()
  const committedAtMs = (revision: number) => marks.find((mark) => mark.revision >= revision)?.atMs

  /** When the store last told its mark: one that does not answer may hold a newer one. */
  let lookedMs = Number.NEGATIVE_INFINITY
  const knowsMark = () => clock.monotonicMs() - lookedMs < markKnownMs

  function withLag(status: ZoneStatus): ZoneStatus {
    const nowMs = clock.monotonicMs()
    const lag = Math.max(0, headRevision() - status.stored)
    const sinceMs = lag > 0 ? committedAtMs(status.stored + 1) : undefined
    const lagMs = sinceMs === undefined ? 0 : Math.round(nowMs - sinceMs)
    const fresh = nowMs - (heardMs.get(status.zone) ?? Number.NEGATIVE_INFINITY) < silenceMaxMs
    return {
      ...status,
      lag,
      lagMs,
      current: status.connected && lag === 0 && fresh && knowsMark() && status.holds.length === 0,
    }
  }

  /** Keeps the time at which a zone was first known to have more than before; true if it has. */
  function progressed(zone: string, former: Levels, { stored, served }: Levels): boolean {
    if (stored <= former.stored && served <= former.served) return false
    const progress = progressByZone.get(zone) ?? []
    progressByZone.set(zone, progress)
    progress.push({ stored, served, atMs: clock.monotonicMs() })
    if (progress.length > progressMax) progress.shift()
    return true
  }

  function update(zone: string, change: Partial<ZoneStatus>): void {
    const status = withLag({ ...(statusByZone.get(zone) ?? blank(zone)), ...change })
    statusByZone.set(zone, status)
    onStatus(status)
    for (const listener of [...listeners]) listener()
  }

  return {
    zones(): ReadonlyMap<string, ZoneStatus> {
      return new Map([...statusByZone].map(([zone, status]) => [zone, withLag(status)]))
    },
    status: (zone: string): ZoneStatus | undefined => statusByZone.get(zone),
    /** `stored`: by the position that the zone came with; undefined when this store does not hold that position. */
    connected(zone: string, epoch: number, hello: Hello, stored: number | undefined, agreement: Agreement) {
      const { storeId, incarnation, host, startedAtMs, version } = hello
      const sameStore = statusByZone.get(zone)?.storeId === storeId
      ownZones.add(zone)
      const served = sameStore && stored !== undefined ? {} : { served: 0, verdicts: [], silentProxies: [] }
      update(zone, {
        connected: true,
        sinceMs: clock.wallMs(),
        epoch,
        storeId,
        incarnation,
        host,
        startedAtMs,
        version,
        agreement,
        stored: stored ?? 0,
        blocked: '',
        ...served,
      })
    },
    /** What this process knows of zones by sessions of its own, and not by newer ones of another replica. */
    own(): ReadonlyMap<string, KnownZone> {
      const known = [...ownZones].flatMap((zone): [string, KnownZone][] => {
        const status = statusByZone.get(zone)
        return status ? [[zone, { status, heardAtMs: heardMs.get(zone) ?? Number.NEGATIVE_INFINITY }]] : []
      })
      return new Map(known)
    },
    /** The status of a zone by another replica, which had the zone's session. An older session never replaces a newer one. */
    followed(zone: string, { status, heardAtMs }: KnownZone) {
      const former = statusByZone.get(zone)
      if (former && former.epoch > status.epoch) return
      if ((ownZones.has(zone) && former?.epoch === status.epoch) || followedByZone.get(zone) === status) return
      ownZones.delete(zone)
      followedByZone.set(zone, status)
      heardMs.set(zone, heardAtMs)
      progressed(zone, former ?? blank(zone), status)
      update(zone, status)
    },
    ended(zone: string, { reason, goodbye }: SessionEnd) {
      const nowMs = clock.wallMs()
      const end = { lastEnd: reason, lastEndCode: goodbye?.code, lastEndAtMs: nowMs }
      update(zone, { connected: false, sinceMs: nowMs, ...end })
    },
    refused(zone: string, { reason, code }: Goodbye) {
      if (!statusByZone.has(zone)) ownZones.add(zone)
      update(zone, { lastEnd: reason, lastEndCode: code, lastEndAtMs: clock.wallMs() })
    },
    bookmark(zone: string, bookmark: Bookmark, own: { readonly sent: number; readonly stored: number }) {
      const former = statusByZone.get(zone) ?? blank(zone)
      const { stored, served, holds, blocked, verdicts, silentProxies, counters } = bookmark
      heardMs.set(zone, clock.monotonicMs())
      const moved = progressed(zone, former, { stored, served })
      const nowMs = clock.wallMs()
      const times = moved ? { lastProgressAtMs: nowMs } : {}
      const up = { sent: bookmark.sent, stored: own.stored }
      update(zone, {
        sent: own.sent,
        stored,
        served,
        holds,
        blocked,
        verdicts,
        silentProxies,
        counters,
        up,
        lastBookmarkAtMs: nowMs,
        clockAheadMs: clockAheadMs(bookmark, nowMs),
        ...times,
      })
    },
    report: (zone: string, report: Report): void =>
      update(zone, reports.changed(zone, statusByZone.get(zone)?.report ?? {}, report)),
    /** A mark of the global's store; true if it is a newer one. */
    marked(revision: number): boolean {
      lookedMs = clock.monotonicMs()
      if (revision <= headRevision()) return false
      marks.push({ revision, atMs: clock.monotonicMs() })
      if (marks.length > marksMax) marks.shift()
      return true
    },
    committedAtMs,
    /** Undefined while the store does not answer. */
    newestMark: (): number | undefined => (knowsMark() ? headRevision() : undefined),
    progressOf: (zone: string): readonly Progress[] => progressByZone.get(zone) ?? [],
    onChange(listener: () => void): Disposable {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  }
}

export type ZoneBoard = ReturnType<typeof createZoneBoard>

/** The status of a zone of which nothing is known. */
export const blank = (zone: string): ZoneStatus => ({
  zone,
  connected: false,
  sinceMs: 0,
  epoch: 0,
  storeId: '',
  incarnation: 0,
  host: '',
  startedAtMs: 0,
  version: '',
  agreement: { protocol: 0, features: [] },
  sent: 0,
  stored: 0,
  served: 0,
  lag: 0,
  lagMs: 0,
  current: false,
  up: { sent: 0, stored: 0 },
  lastBookmarkAtMs: 0,
  clockAheadMs: 0,
  lastProgressAtMs: 0,
  holds: [],
  blocked: '',
  verdicts: [],
  silentProxies: [],
  counters: noCounters,
  report: {},
  reportLeftOut: 0,
  lastEnd: undefined,
  lastEndCode: undefined,
  lastEndAtMs: 0,
})
