import type { Random } from '@zonemesh/shared/env/random.ts'
import { bookmarkBytes, type FrameBytes, numberBytes } from './frames.ts'
import { createModelProcess, type ModelProcess, type Timeline } from './timeline.ts'

export type ChangeKind = 'policy' | 'announcement' | 'dataplane'

/** A change of one row. `missing` counts the zones that should get it and have not stored it. */
export interface ModelChange {
  readonly kind: ChangeKind
  /** The zone that owns the row; -1: the global. */
  readonly zone: number
  readonly atMs: number
  missing: number
  /** From the change to the last zone that stored it. */
  lagMs: number | undefined
}

/** What work of a process costs, in milliseconds of CPU, and the delays of lines and timers. See `costs.ts`. */
export interface HubCosts {
  readonly wakeMs: number
  readonly frameMs: number
  readonly rowSentMs: number
  readonly rowStoredMs: number
  readonly commitMs: number
  readonly policyMs: number
  readonly entryMs: number
  readonly entryBytes: number
  readonly lineMs: number
  readonly lineBytesPerMs: number
}

export interface Model {
  readonly timeline: Timeline
  readonly random: Random
  readonly bytes: FrameBytes
  readonly costs: HubCosts
  readonly isEndless: boolean
}

/** Frames and bytes by direction and type, seen from the process that serves. */
export type Counts = Record<string, { frames: number; bytes: number }>

/** A peer below a hub: a zone, or a relay with zones below it. */
export interface Child {
  /** Rows of these zones are its own, so it does not get them. */
  readonly covers: (zone: number) => boolean
  /** A round has arrived: its rows, or only a mark. */
  receive(rows: readonly ModelChange[]): void
}

/** One end of a session, at the hub. */
export interface Session {
  /** There may be a newer mark. */
  wake(): void
  /** Frames of the child arrive. `entries`: how many statuses of zones a bookmark of a relay carries. */
  arrive(frames: Arrival): void
}

export interface Arrival {
  readonly types: readonly ('credit' | 'bookmark' | 'mark' | 'rows')[]
  readonly rows: readonly ModelChange[]
  readonly entries: number
}

/** Values of the product: `pulse.ts` and `sent-marks.ts`. */
export const bookmarkDelayMs = 3
const bookmarkCoalesceMs = 5
export const bookmarkEveryMs = 2_000
export const idleMarkMs = 40

/** The log of a global when the run begins. Sessions begin at its mark. */
const firstRevision = 1_000

/** A process with a log that it serves to its children: the global, or a relay. */
export interface Hub {
  readonly process: ModelProcess
  readonly counts: Counts
  readonly bytesOut: () => number
  readonly children: () => number
  attach(child: Child): Session
  /** Writes changes in one commit, after work of this cost. */
  commit(changes: readonly ModelChange[], costMs: number): void
}

export function createHub(model: Model, hooks: { onArrival?: (arrival: Arrival) => void } = {}): Hub {
  const { timeline, costs } = model
  const process = createModelProcess(timeline, model.isEndless)
  const log: ModelChange[] = []
  const counts: Counts = {}
  const sessions: Session[] = []
  let revision = firstRevision
  let bytesOut = 0
  let lineFreeAtMs = 0

  function count(name: string, size: number): void {
    counts[name] ??= { frames: 0, bytes: 0 }
    counts[name].frames += 1
    counts[name].bytes += size
  }

  /** The time until bytes that are sent now have arrived. */
  function sendMs(size: number): number {
    bytesOut += size
    lineFreeAtMs = Math.max(lineFreeAtMs, timeline.now()) + size / costs.lineBytesPerMs
    return lineFreeAtMs - timeline.now() + lineDelayMs(model)
  }

  function commit(changes: readonly ModelChange[], costMs: number): void {
    process.do({
      costMs: () => costMs,
      run() {
        log.push(...changes)
        revision += 1
        for (const session of sessions) session.wake()
      },
    })
  }

  function attach(child: Child): Session {
    const session = createSession(
      { ...model, process, log, revision: () => revision, count, sendMs },
      child,
      (arrival) => {
        if (hooks.onArrival) return hooks.onArrival(arrival)
        if (arrival.rows.length > 0) commit(arrival.rows, costs.commitMs + arrival.rows.length * costs.rowStoredMs)
      },
    )
    sessions.push(session)
    return session
  }

  return { process, counts, bytesOut: () => bytesOut, children: () => sessions.length, attach, commit }
}

/** One way on a line, with some jitter. */
export const lineDelayMs = ({ costs, random }: Pick<Model, 'costs' | 'random'>): number =>
  costs.lineMs * (1 + random.fraction() / 5)

interface SessionDeps extends Model {
  readonly process: ModelProcess
  readonly log: readonly ModelChange[]
  readonly revision: () => number
  readonly count: (name: string, size: number) => void
  readonly sendMs: (size: number) => number
}

/** The session of a hub with one child: rounds by position, idle marks that wait, bookmarks that are coalesced. */
function createSession(deps: SessionDeps, child: Child, onArrival: (arrival: Arrival) => void): Session {
  const { timeline, process, costs, bytes, log, count } = deps
  let position = 0
  let isQueued = false
  let isMarkWaiting = false
  let hasMarkTimer = false
  let pending: readonly ModelChange[] = []
  /** The mark of the last round that was read. */
  let sentRevision = firstRevision
  /** The levels of both ends: what each has sent and stored of the two logs. */
  const down = createLevels(firstRevision)
  const up = createLevels(1)
  let owesCredit = false
  const sendBookmark = createBookmarks(timeline, deps.random, () => {
    const frames = owesCredit ? 2 : 1
    process.do({
      costMs: () => frames * costs.frameMs,
      run() {
        if (frames === 2) sendOne('down credit', bytes.credit)
        sendOne('down bookmark', down.bookmark({ stored: up.sent, served: 0, of: up }))
      },
    })
    owesCredit = false
  })

  function sendOne(name: string, size: number): number {
    down.number += 1
    const bytesSent = size + numberBytes(down.number)
    count(name, bytesSent)
    return deps.sendMs(bytesSent)
  }

  function send(rows: readonly ModelChange[]): void {
    if (rows.length > 0) {
      const size = rows.reduce((sum, { kind }) => sum + bytes[kind], bytes.rows)
      sendOne('down rows', size)
      down.rows += rows.length
      down.rowBytes += size
    }
    down.sent = sentRevision
    const arrivesMs = sendOne('down mark', bytes.mark)
    timeline.at(arrivesMs, () => child.receive(rows))
  }

  function idleMark(): void {
    isMarkWaiting = true
    if (hasMarkTimer) return
    hasMarkTimer = true
    timeline.at(idleMarkMs, () => {
      hasMarkTimer = false
      if (!isMarkWaiting) return
      isMarkWaiting = false
      process.do({ costMs: () => costs.frameMs, run: () => send([]) })
    })
  }

  return {
    wake() {
      if (isQueued) return
      isQueued = true
      process.do({
        costMs() {
          isQueued = false
          pending = log.slice(position).filter(({ kind, zone }) => kind !== 'dataplane' && !child.covers(zone))
          position = log.length
          sentRevision = deps.revision()
          return costs.wakeMs + (pending.length > 0 ? 2 * costs.frameMs + pending.length * costs.rowSentMs : 0)
        },
        run() {
          if (pending.length === 0) return idleMark()
          isMarkWaiting = false
          send(pending)
        },
      })
    },
    arrive(arrival) {
      for (const type of arrival.types) {
        up.number += 1
        if (type === 'mark') up.sent += 1
        count(`up ${type}`, sizeOf(type, arrival) + numberBytes(up.number))
      }
      owesCredit ||= arrival.rows.length > 0
      process.do({
        costMs: () => arrival.types.length * costs.frameMs + arrival.entries * costs.entryMs,
        run() {
          onArrival(arrival)
          if (arrival.types.includes('mark')) sendBookmark()
        },
      })
    },
  }

  function sizeOf(type: Arrival['types'][number], { rows, entries }: Arrival): number {
    switch (type) {
      case 'credit':
      case 'mark':
        return bytes[type]
      case 'bookmark':
        return up.bookmark({ stored: down.sent, served: down.sent, of: down }) + entries * costs.entryBytes
      case 'rows': {
        const size = rows.reduce((sum, { kind }) => sum + bytes[kind], bytes.rows)
        up.rows += rows.length
        up.rowBytes += size
        return size
      }
    }
  }
}

/** What one end of a session has sent so far, as far as it decides the size of bookmarks. */
function createLevels(sent: number) {
  const levels = { number: 0, sent, rows: 0, rowBytes: 0 }
  return Object.assign(levels, {
    /** The bytes of a bookmark of this end, without its number. `of`: what the other end has sent. */
    bookmark: ({ of, ...reached }: { readonly stored: number; readonly served: number; readonly of: typeof levels }) =>
      bookmarkBytes({ ...reached, number: 0, sent: levels.sent, rows: of.rows, rowBytes: of.rowBytes }),
  })
}

/** Bookmarks of one end: soon after `announce`, and at least every two seconds. */
export function createBookmarks(timeline: Timeline, random: Random, send: () => void): () => void {
  let isAnnounced = false
  let lastMs = Number.NEGATIVE_INFINITY
  let beats = 0

  function beatIn(delayMs: number): void {
    beats += 1
    const own = beats
    timeline.at(delayMs, () => {
      if (own !== beats) return
      isAnnounced = false
      lastMs = timeline.now()
      send()
      beatIn(bookmarkEveryMs)
    })
  }

  beatIn(random.fraction() * bookmarkEveryMs)
  return () => {
    if (isAnnounced) return
    isAnnounced = true
    beatIn(Math.max(bookmarkDelayMs, lastMs + bookmarkCoalesceMs - timeline.now()))
  }
}
