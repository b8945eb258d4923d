import { messageOf } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Origin } from '../resource/resource.ts'
import type { Change, Position, Store, Version } from '../store/store.ts'
import type { Channel } from '../transport/transport.ts'
import { createCredit } from './credit.ts'
import type { InflowLimit } from './inflow.ts'
import { decodeFrame, encodeMessage, encodeRow } from './log/frames.ts'
import type { Listed } from './log/holds.ts'
import {
  type Application,
  createInbound,
  type InboundEffect,
  type InboundEvent,
  inboundDefaults,
  inboundStep,
} from './log/inbound.ts'
import type {
  Bookmark,
  Counters,
  Goodbye,
  GoodbyeCode,
  Hold,
  Message,
  ReplaceReason,
  Report,
  Verdict,
  Welcome,
} from './log/messages.ts'
import { createOutbound, type OutboundEvent, outboundStep } from './log/outbound.ts'
import { partsOf, positionChange } from './log/rounds.ts'
import type { Sight } from './log/who-sees.ts'
import type { Marks } from './marks.ts'
import { createPatience } from './patience.ts'
import { startPulse } from './pulse.ts'
import { createReads } from './reads.ts'
import { createSentMarks } from './sent-marks.ts'
import { createThroughput } from './throughput.ts'

/** What a plane adds to a round in the same commit, such as addresses of new services. */
export type Derive = (changes: readonly Change[]) => Promise<readonly Change[]>

/** A round of the peer that this store has committed: `localMark` and every later mark include it. */
export interface Applied {
  readonly position: Position
  readonly localMark: Position
  readonly written: readonly Version[]
}

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

export interface SessionDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
}

export interface SessionOptions {
  readonly channel: Channel
  readonly self: Origin
  readonly peer: Origin
  readonly sight: Sight
  readonly peerStore: string
  /** Our position in the peer's log, and the peer's position in ours. */
  readonly position: Position | undefined
  readonly peerPosition: Position | undefined
  /** Whether our history holds the peer's position. */
  readonly peerStanding: Welcome['standing']
  /** True if the peer's log holds our position. If not, nothing counts as stored until a mark of the peer is stored. */
  readonly positionCounts: boolean
  /** Bytes of rows that we may send before the first credit of the peer. */
  readonly creditBytes: number
  /** How fast received rows are credited. Default: at once. */
  readonly inflow?: InflowLimit
  /** Holds rows of the peer's own origin if they would remove too much or come from another history. */
  readonly holds: boolean
  /** The peer also sends rows of other origins. */
  readonly relays: boolean
  /** Relayed origins with rows in this store that the peer's store has never named completely. */
  readonly uncovered: readonly Origin[]
  /** Rows of the peer's own origin below this incarnation stay for a while after a replacement without them. */
  readonly formerBelow: number
  /** Checks that every commit of this session includes. If one fails, the session is fenced. */
  readonly guards: readonly Change[]
  /** The origins that this store can name completely at a revision. */
  readonly originsAt: (at: number, reason: ReplaceReason) => Promise<readonly Origin[]>
  readonly changesSince: Store['changesSince']
  /** Selects the mark at which a round of changes ends. Default: the newest mark. */
  readonly marks?: Pick<Marks, 'read'>
  readonly derive: Derive
  readonly served: () => ServedStatus
  readonly onApplied: (applied: Applied) => void
  /** Changes for the same commit that record how many rows of a former incarnation stay for a while. */
  readonly formerStays: (rows: number) => readonly Change[]
  readonly onBookmark: (bookmark: Bookmark) => void
  /** The peer has sent a mark. All rows up to it are here and are stored next. */
  readonly onMark?: (mark: Position) => void
  /** The peer requests the release of this hold. */
  readonly onRelease: (hold: string) => void
  readonly onHold?: (hold: Hold | undefined) => void
  /** Why our store accepts no commits at the moment; empty if it does. */
  readonly onBlocked?: (reason: string) => void
  /**
   * The newest mark that this process has read from the store; undefined while the store does not answer. Default: the
   * mark that this session has read.
   */
  readonly newestMark?: () => number | undefined
  readonly onReport: (report: Report) => void
}

export interface SessionEnd {
  /** Undefined if the connection was lost without a goodbye. */
  readonly goodbye: (Goodbye & { readonly by: 'self' | 'peer' }) | undefined
  readonly reason: string
}

export interface Session {
  /** Resolves after the last effect: from then on the session no longer changes the store. */
  readonly done: Promise<SessionEnd>
  readonly sent: () => Position | undefined
  readonly stored: () => Position | undefined
  readonly counters: () => Counters
  /** The change that this plane holds until an operator releases it. */
  readonly hold: () => Hold | undefined
  /** Releases the hold of this plane that has this id. */
  release(hold: string): void
  /** Requests that the peer releases its hold. */
  askRelease(hold: string): void
  /** From revision `at` on, this store has all rows of these origins, of which the peer had rows before. */
  late(origins: readonly Origin[], at: number): void
  /** There may be a newer mark. */
  wake(): void
  /** A value that a bookmark reports has changed. */
  announce(): void
  /** Sends a report; resolves when the channel accepts more, or has ended. */
  report(report: Report): Promise<void>
  end(code: GoodbyeCode, reason: string): void
}

/** Sent if our newest mark is unknown. No receiver has a revision this high, so none counts as current. */
const unknownMark = Number.MAX_SAFE_INTEGER

/** A session is open once it has read the mark of its own store, and ending until its last effect has finished. */
type State =
  | { readonly type: 'opening' }
  /** `localMark` includes everything that this session has written. */
  | { readonly type: 'open'; readonly localMark: Position }
  /** Set by a commit that finishes after the end. */
  | { readonly type: 'ending'; readonly localMark: Position | undefined }

/** Wake-ups are hints and may be lost: the session also looks for a newer mark at this interval. */
const slowPollMs = 30_000

/**
 * Runs a session after its handshake: performs the effects of both steps on the store and the channel. Both planes use
 * it.
 */
export function startSession(deps: SessionDeps, options: SessionOptions): Session {
  const { store, clock, log } = deps
  const { channel, sight, self, peer } = options
  const outbound = createOutbound()
  const inbound = createInbound(options.peerStore, options.position, options.uncovered)
  const { holds, relays, formerBelow } = options
  const inboundDeps = { ...inboundDefaults, sight, owner: peer, holds, relays, formerBelow }
  const outboundDeps = { sight, measure: (delivered: Parameters<typeof encodeRow>[0]) => encodeRow(delivered).length }
  const read = createReads({ ...options, store })
  const throughput = createThroughput(clock)
  const done = Promise.withResolvers<SessionEnd>()
  const underway = new Set<Promise<void>>()
  const count = { rowsReceived: 0, rowsApplied: 0, rowsRefused: 0, bytesReceived: 0 }
  const ending = new AbortController()
  const { patiently, blocked } = createPatience(clock, ending.signal, blockedChanged)
  let state: State = { type: 'opening' }
  const credit = createCredit({ clock, inflow: options.inflow, send: (bytes) => send({ type: 'credit', bytes }) })
  let { positionCounts } = options
  let framesSent = 0
  let framesReceived = 0
  /** The time of the peer's newest bookmark, by the clock of the peer. */
  let echoMs: number | undefined
  const marks = createSentMarks(clock, send)
  let lastWritten: readonly Version[] = []

  function send(message: Message): void {
    framesSent += 1
    channel.send(encodeMessage(message, framesSent))
  }

  function finish(end: SessionEnd): void {
    if (state.type === 'ending') return
    state = { type: 'ending', localMark: undefined }
    ending.abort()
    listening[Symbol.dispose]()
    poll[Symbol.dispose]()
    pulse[Symbol.dispose]()
    marks[Symbol.dispose]()
    credit[Symbol.dispose]()
    void Promise.allSettled(underway).then(() => done.resolve(end))
  }

  function end(code: GoodbyeCode, reason: string): void {
    if (state.type === 'ending') return
    send({ type: 'goodbye', goodbye: { code, reason } })
    channel.end()
    finish({ goodbye: { code, reason, by: 'self' }, reason })
  }

  /** The reason appears in our log and, with the next bookmark, at the peer. */
  function blockedChanged(reason: string): void {
    if (reason === '') log.info({ peer }, 'the store takes writes again')
    else log.warn({ peer, reason }, 'a session waits for the store')
    options.onBlocked?.(reason)
    pulse.announce()
  }

  /** Runs an asynchronous effect. If it fails, the session ends, and the next session resumes by position. */
  function run(task: Promise<void>): void {
    const guarded = task
      .catch((cause: unknown) => {
        if (state.type === 'ending') return
        log.warn({ peer, err: cause }, 'a sync session failed')
        end('failed', messageOf(cause))
      })
      .finally(() => underway.delete(guarded))
    underway.add(guarded)
  }

  function outward(event: OutboundEvent): void {
    if (state.type === 'ending') return
    for (const effect of outboundStep(outbound, event, outboundDeps)) {
      // The session reads only as fast as the channel drains.
      if (effect.type !== 'send') run(channel.drained().then(() => patiently(() => read(effect)).then(outward)))
      else {
        if (effect.message.type === 'rows') throughput.sent(effect.message.bytes)
        marks.send(effect)
      }
    }
  }

  function inward(event: InboundEvent): void {
    // A commit that finishes after the end of the session still moves the position. The next session resumes there.
    if (state.type === 'ending' && event.type !== 'applied') return
    for (const effect of inboundStep(inbound, event, inboundDeps)) {
      if (state.type !== 'ending' || effect.type === 'stored') perform(effect)
    }
  }

  function perform(effect: InboundEffect): void {
    switch (effect.type) {
      case 'credit':
        return void credit.owe(effect.bytes)
      case 'refused':
        count.rowsRefused += effect.keys.length
        log.warn({ peer, rows: effect.keys.length, first: effect.keys[0] }, 'refused rows that the peer may not send')
        return
      case 'stored':
        positionCounts = true
        pulse.announce()
        if (state.type !== 'opening' && state.localMark)
          options.onApplied({ position: effect.position, localMark: state.localMark, written: lastWritten })
        lastWritten = []
        return
      case 'held':
        pulse.announce()
        options.onHold?.(effect.hold)
        if (effect.hold) log.warn({ ...effect.hold }, `a change is held for an operator: ${effect.hold.reason}`)
        else log.info({ peer }, 'no change is held')
        return
      case 'goodbye':
        return void end(effect.code, effect.reason)
      case 'list':
        return void run(patiently(() => list(effect.origins)).then(inward))
      case 'apply':
        return void run(patiently(() => apply(effect)).then((event) => event && inward(event)))
    }
  }

  async function list(origins: readonly Origin[]): Promise<InboundEvent> {
    const { revision } = await store.head()
    const named = new Set(origins)
    const rows: Listed[] = []
    const others = new Set<Origin>()
    const found = relays
      ? [await store.scan({}, { at: revision })]
      : await Promise.all(origins.map((origin) => store.scan({ origin }, { at: revision })))
    for (const { key, stamp } of found.flat()) {
      if (named.has(key.origin)) rows.push({ key, incarnation: stamp.incarnation })
      else if (key.origin !== self) others.add(key.origin)
    }
    return { type: 'listed', rows, otherOrigins: [...others] }
  }

  /** Undefined if the store refused the round. The session has ended then. */
  async function apply({
    changes,
    bytes,
    position,
    uncovered,
    ahead,
    former,
  }: Application): Promise<InboundEvent | undefined> {
    const derived = changes.length > 0 ? await options.derive(changes) : []
    const why = {
      subject: peer,
      intent: position ? `sync up to ${position.revision}` : 'sync the rows that are not held',
    }
    const last = [
      ...(position ? [positionChange(self, peer, position, uncovered)] : []),
      ...(ahead ? [positionChange(self, peer, ahead.position, ahead.uncovered)] : []),
      ...(former > 0 ? options.formerStays(former) : []),
    ]
    const parts = partsOf([...changes, ...derived], last, why, { guards: options.guards, bytes })
    const outcome = await store.commitRound(parts)
    if (!outcome.ok) {
      refusedRound(outcome.conflicts)
      return undefined
    }
    const { written } = outcome
    if (state.type !== 'opening') state = { ...state, localMark: outcome.position }
    count.rowsApplied += written.length
    lastWritten = [...lastWritten, ...written]
    return { type: 'applied' }
  }

  function refusedRound(conflicts: readonly unknown[]): void {
    if (options.guards.length === 0)
      throw new Error(`the store refused a round of ${peer}: ${JSON.stringify(conflicts)}`)
    end('fenced', 'a newer session of this zone was opened elsewhere')
  }

  function received({ rows, bytes }: Extract<Message, { type: 'rows' }>): void {
    count.rowsReceived += rows.length
    count.bytesReceived += bytes
    if (!credit.received(bytes)) end('protocol', `the peer sent ${bytes} bytes of rows without credit for them`)
  }

  function bookmark(): void {
    if (state.type === 'ending') return
    const status = options.served()
    const { verdicts, silentProxies } = status
    const counted = (position: Position | undefined) =>
      positionCounts && position?.store === options.peerStore ? position.revision : 0
    const [stored, served] = [counted(inbound.position), counted(status.served)]
    const sent = marks.sent()?.revision ?? 0
    // The store may have given a newer mark to another reader while the read of this session still waits.
    const read = outbound.newest?.revision ?? 0
    const newest = options.newestMark ? options.newestMark() : read
    const mark = newest === undefined ? unknownMark : Math.max(newest, read)
    const holds = inbound.hold ? [inbound.hold] : []
    credit.pay()
    send({
      type: 'bookmark',
      bookmark: {
        sent,
        mark,
        stored,
        served,
        holds,
        blocked: blocked(),
        verdicts,
        silentProxies,
        counters: counters(),
        wallClockMs: Math.floor(clock.wallMs()),
        sentAtMs: Math.floor(clock.monotonicMs()),
        ...(echoMs === undefined ? {} : { echoMs }),
      },
    })
  }

  function counters(): Counters {
    const { proxies, proxiesConnected } = options.served()
    return { ...count, proxies, proxiesConnected }
  }

  function credited(bytes: number): void {
    throughput.credited(bytes)
    const frameBytes = throughput.bytesPerSecond()
    outward({ type: 'credited', bytes, ...(frameBytes === undefined ? {} : { frameBytes }) })
  }

  function receive(bytes: Uint8Array): void {
    if (state.type === 'ending') return
    let frame: ReturnType<typeof decodeFrame>
    try {
      frame = decodeFrame(bytes)
    } catch (cause) {
      return void end('protocol', `a frame of ${bytes.length} bytes cannot be read: ${messageOf(cause)}`)
    }
    const { message, number } = frame
    if (number > 0) {
      // Drops a repeated frame. A gap ends the session, because rows may be missing; the next one resumes by position.
      if (number <= framesReceived) return
      if (number !== framesReceived + 1) return void end('gap', `expected frame ${framesReceived + 1}, found ${number}`)
      framesReceived = number
    }
    pulse.received()
    switch (message?.type) {
      case undefined:
        return
      case 'rows':
        received(message)
        return void inward(message)
      case 'mark':
        options.onMark?.(message.position)
        return void inward(message)
      case 'replace':
        return void inward(message)
      case 'credit':
        return void credited(message.bytes)
      case 'bookmark':
        echoMs = message.bookmark.sentAtMs
        return void options.onBookmark(message.bookmark)
      case 'report':
        return void options.onReport(message.report)
      case 'release':
        return void options.onRelease(message.hold)
      case 'goodbye':
        channel.end()
        return void finish({ goodbye: { ...message.goodbye, by: 'peer' }, reason: message.goodbye.reason })
      case 'hello':
      case 'welcome':
        return void end('protocol', `a second ${message.type}`)
    }
  }

  async function open(): Promise<void> {
    const localMark = await store.mark()
    if (state.type === 'opening') state = { type: 'open', localMark }
    const reason = options.peerStanding === 'valid' ? undefined : options.peerStanding
    if (!reason) marks.begin(options.peerPosition)
    outward({ type: 'credited', bytes: options.creditBytes })
    outward({ type: 'opened', position: reason ? undefined : options.peerPosition, reason, newest: localMark })
    if (options.position && positionCounts) options.onApplied({ position: options.position, localMark, written: [] })
    if (state.type !== 'ending') pulse.beat()
    channel.onMessage(receive)
  }

  const pulse = startPulse(clock, bookmark, (silentMs) => {
    const reason = `no frame arrived for ${silentMs} ms`
    channel.cut(reason)
    finish({ goodbye: undefined, reason })
  })
  const wake = () => outward({ type: 'woken' })
  const listening = store.onMark(wake)
  let poll = clock.after(slowPollMs, function again() {
    wake()
    poll = clock.after(slowPollMs, again)
  })
  void channel.ended.then(({ reason }) => finish({ goodbye: undefined, reason }))
  run(open())
  return {
    done: done.promise,
    sent: marks.sent,
    stored: () => inbound.position,
    counters,
    hold: () => inbound.hold,
    release: (hold) => inward({ type: 'released', hold }),
    askRelease: (hold) => void send({ type: 'release', hold }),
    late: (origins, at) => outward({ type: 'late', origins, at }),
    wake,
    announce: () => pulse.announce(),
    report(report) {
      if (state.type !== 'ending') send({ type: 'report', report })
      return channel.drained()
    },
    end,
  }
}
