import type { JsonObject } from '../base/base.ts'
import { createListeners } from '../base/listeners.ts'
import type { Clock } from '../env/clock.ts'
import type { SessionEnd } from './lifetime.ts'
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
import { nothingObserved, type SyncObserver } from './observer.ts'
import { clockAheadMs, silenceMaxMs } from './pulse.ts'
import { createReportStock } from './reports.ts'

/** The status of one zone at the global. Revisions are the global's, except in `up`, where they are the zone's. */
export interface ZoneStatus {
  readonly zone: string
  readonly connected: boolean
  /** Wall clock of the last connect or disconnect. */
  readonly sinceMs: number
  readonly epoch: number
  readonly storeId: string
  readonly incarnation: number
  readonly host: string
  readonly startedAtMs: number
  readonly version: string
  /** The protocol version and features of its newest session. */
  readonly agreement: Agreement
  /** The newest mark sent to the zone, stored by it, and served by all its live proxies. */
  readonly sent: number
  readonly stored: number
  readonly served: number
  /** How many revisions of the global the zone has not stored yet, and how long the oldest of them has waited. */
  readonly lag: number
  readonly lagMs: number
  /** The zone has stored the newest mark, and a bookmark within `silenceMaxMs` confirms this. */
  readonly current: boolean
  /** The newest mark that the zone has sent us, and that we have stored. */
  readonly up: { readonly sent: number; readonly stored: number }
  readonly lastBookmarkAtMs: number
  /** How far the wall clock of the zone was ahead of ours at the last bookmark; negative: behind. */
  readonly clockAheadMs: number
  /** Wall clock of the last bookmark with a higher `stored` or `served` than the one before. */
  readonly lastProgressAtMs: number
  /** Changes that the zone holds until an operator releases them. */
  readonly holds: readonly Hold[]
  /** Why the zone cannot store rows at the moment; empty if it can. */
  readonly blocked: string
  readonly verdicts: readonly Verdict[]
  readonly silentProxies: readonly string[]
  readonly counters: Counters
  /** The last report of the zone on its proxies, by key text; kept while the zone is disconnected. */
  readonly report: Readonly<Record<string, JsonObject>>
  /** How many entries were left out because the report was too large. */
  readonly reportLeftOut: number
  /** Why the last session of the zone was refused or ended. */
  readonly lastEnd: string | undefined
  /** The code of that goodbye; undefined if the connection was lost without one. */
  readonly lastEndCode: GoodbyeCode | undefined
  /** Wall clock of that end. */
  readonly lastEndAtMs: number
}

/** When a zone first reported a revision as stored or served, by the monotonic clock. */
export interface Progress {
  readonly stored: number
  readonly served: number
  readonly atMs: number
}

/** A status, and the monotonic time of the zone's last bookmark. */
export interface KnownZone {
  readonly status: ZoneStatus
  readonly bookmarkAtMs: number
}

type Levels = Pick<ZoneStatus, 'stored' | 'served'>

/** A read of the mark counts for this long. The server reads it every 2 s. */
const markKnownMs = 3_000
const progressMax = 1024
const marksMax = 4096

/** The status of every zone that this process has seen, and the times from which receipts compute delays. */
export function createZoneBoard(
  clock: Clock,
  onStatus: (status: ZoneStatus) => void,
  reportBytesMax = Number.POSITIVE_INFINITY,
  observer: SyncObserver = nothingObserved,
) {
  const reports = createReportStock(reportBytesMax)
  const statusByZone = new Map<string, ZoneStatus>()
  // Limit: the newest 1,024 entries of a zone, oldest first. A receipt for an older revision has no delay.
  const progressByZone = new Map<string, Progress[]>()
  // Limit: the newest 4,096 marks, oldest first. A receipt for an older revision has no delay.
  const marks: { readonly revision: number; readonly atMs: number }[] = []
  const listeners = createListeners()
  const headRevision = () => marks.at(-1)?.revision ?? 0
  /** Zones whose newest known session is or was with this process. */
  const ownZones = new Set<string>()
  const followedByZone = new Map<string, ZoneStatus>()
  /** Monotonic time of each zone's last bookmark. */
  const bookmarkMsByZone = new Map<string, number>()
  /** The newest mark that may be older than this process, so that its time of commit is not known. */
  let beganAt: number | undefined
  /** The newest mark when a zone without any known position connected: it gets a replacement, not these commits. */
  const joinedAtByZone = new Map<string, number>()
  /** The holds in the last bookmark that had some. A new session begins without its holds and then repeats them. */
  const holdIdsByZone = new Map<string, ReadonlySet<string>>()
  const committedAtMs = (revision: number) => marks.find((mark) => mark.revision >= revision)?.atMs

  /** When the mark of the store was last read. If the store does not answer, it may have a newer mark. */
  let lookedMs = Number.NEGATIVE_INFINITY
  const knowsMark = () => clock.monotonicMs() - lookedMs < markKnownMs

  function withLag(status: ZoneStatus): ZoneStatus {
    const nowMs = clock.monotonicMs()
    const lag = Math.max(0, headRevision() - status.stored)
    const sinceMs = lag > 0 ? committedAtMs(status.stored + 1) : undefined
    const lagMs = sinceMs === undefined ? 0 : Math.round(nowMs - sinceMs)
    const fresh = nowMs - (bookmarkMsByZone.get(status.zone) ?? Number.NEGATIVE_INFINITY) < silenceMaxMs
    return {
      ...status,
      lag,
      lagMs,
      current: status.connected && lag === 0 && fresh && knowsMark() && status.holds.length === 0,
    }
  }

  /** Records the time if the zone has stored or served more than before; true if so. */
  function progressed(zone: string, former: Levels, { stored, served }: Levels): boolean {
    if (stored <= former.stored && served <= former.served) return false
    const progress = progressByZone.get(zone) ?? []
    progressByZone.set(zone, progress)
    progress.push({ stored, served, atMs: clock.monotonicMs() })
    if (progress.length > progressMax) progress.shift()
    return true
  }

  /** Reports how far a zone is with this bookmark, and the marks that it has reached. */
  function observeReached(zone: string, former: Levels, { stored, served }: Levels): void {
    const knownFrom = Math.max(beganAt ?? 0, joinedAtByZone.get(zone) ?? 0)
    const nowMs = clock.monotonicMs()
    for (const [level, before, after] of [
      ['stored', former.stored, stored],
      ['served', former.served, served],
    ] as const) {
      if (after > before) observer.progressed(zone, level, after)
      for (let index = marks.length - 1; index >= 0; index -= 1) {
        const mark = marks[index]
        if (!mark || mark.revision <= Math.max(before, knownFrom)) break
        if (mark.revision <= after) observer.reached(zone, level, nowMs - mark.atMs)
      }
    }
  }

  function observeHolds(zone: string, holds: readonly Hold[]): void {
    if (holds.length === 0) return
    const before = holdIdsByZone.get(zone)
    for (const { id } of holds) if (!before?.has(id)) observer.held(zone)
    holdIdsByZone.set(zone, new Set(holds.map(({ id }) => id)))
  }

  function update(zone: string, change: Partial<ZoneStatus>): void {
    const status = withLag({ ...(statusByZone.get(zone) ?? blank(zone)), ...change })
    statusByZone.set(zone, status)
    onStatus(status)
    listeners.call()
  }

  return {
    zones(): ReadonlyMap<string, ZoneStatus> {
      return new Map([...statusByZone].map(([zone, status]) => [zone, withLag(status)]))
    },
    status: (zone: string): ZoneStatus | undefined => statusByZone.get(zone),
    /** `stored`: the revision of the zone's position; undefined if this store does not hold that position. */
    connected(zone: string, epoch: number, hello: Hello, stored: number | undefined, agreement: Agreement) {
      const { storeId, incarnation, host, startedAtMs, version } = hello
      const former = statusByZone.get(zone)
      const sameStore = former?.storeId === storeId
      ownZones.add(zone)
      observer.connected(zone, former !== undefined && former.epoch > 0)
      if (stored === undefined) joinedAtByZone.set(zone, headRevision())
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
    /** The zones whose newest known session is or was with this process. */
    own(): ReadonlyMap<string, KnownZone> {
      const known = [...ownZones].flatMap((zone): [string, KnownZone][] => {
        const status = statusByZone.get(zone)
        return status ? [[zone, { status, bookmarkAtMs: bookmarkMsByZone.get(zone) ?? Number.NEGATIVE_INFINITY }]] : []
      })
      return new Map(known)
    },
    /**
     * Takes over a status that another replica has published. The status of an older session never replaces a newer
     * one.
     */
    followed(zone: string, { status, bookmarkAtMs }: KnownZone) {
      const former = statusByZone.get(zone)
      if (former && former.epoch > status.epoch) return
      if ((ownZones.has(zone) && former?.epoch === status.epoch) || followedByZone.get(zone) === status) return
      ownZones.delete(zone)
      followedByZone.set(zone, status)
      bookmarkMsByZone.set(zone, bookmarkAtMs)
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
      observer.refused(zone)
      update(zone, { lastEnd: reason, lastEndCode: code, lastEndAtMs: clock.wallMs() })
    },
    bookmark(zone: string, bookmark: Bookmark, own: { readonly sent: number; readonly stored: number }) {
      const former = statusByZone.get(zone) ?? blank(zone)
      const { stored, served, holds, blocked, verdicts, silentProxies, counters } = bookmark
      bookmarkMsByZone.set(zone, clock.monotonicMs())
      const moved = progressed(zone, former, { stored, served })
      if (moved) observeReached(zone, former, { stored, served })
      observeHolds(zone, holds)
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
      beganAt ??= revision
      if (revision <= headRevision()) return false
      marks.push({ revision, atMs: clock.monotonicMs() })
      if (marks.length > marksMax) marks.shift()
      return true
    },
    committedAtMs,
    /** Undefined while the store does not answer. */
    newestMark: (): number | undefined => (knowsMark() ? headRevision() : undefined),
    progressOf: (zone: string): readonly Progress[] => progressByZone.get(zone) ?? [],
    onChange: listeners.add,
  }
}

export type ZoneBoard = ReturnType<typeof createZoneBoard>

/** The status of a zone before its first session. */
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
