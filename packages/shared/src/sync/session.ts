import { messageOf } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { keyText, type Origin, type ResourceKey } from '../resource/resource.ts'
import { HorizonError } from '../store/errors.ts'
import type { Change, Position, Store, Version } from '../store/store.ts'
import type { Channel } from '../transport/transport.ts'
import { decodeMessage, encodeMessage, encodeRow } from './log/frames.ts'
import { createInbound, type InboundEffect, type InboundEvent, inboundDefaults, inboundStep } from './log/inbound.ts'
import type {
  Bookmark,
  Counters,
  Goodbye,
  GoodbyeCode,
  Message,
  ReplaceReason,
  Report,
  Verdict,
} from './log/messages.ts'
import {
  type Candidate,
  createOutbound,
  type OutboundEffect,
  type OutboundEvent,
  outboundStep,
} from './log/outbound.ts'
import { commitsOf, positionChange } from './log/rounds.ts'
import type { Sight } from './log/who-sees.ts'

/** What a plane adds to a round in the same commit, such as addresses of new services. */
export type Derive = (changes: readonly Change[]) => Promise<readonly Change[]>

/** A round of the peer that is in the store here: `localMark` and every later mark include it. */
export interface Applied {
  readonly position: Position
  readonly localMark: Position
  readonly written: readonly Version[]
}

/** What a zone serves, in the numbering of the global. */
export interface ServedStatus {
  readonly served: number
  readonly verdicts: readonly Verdict[]
  readonly silentProxies: readonly string[]
  readonly proxies: number
  readonly proxiesConnected: number
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
  /** Where we stand in the peer's log, and where the peer says it stands in ours. */
  readonly position: Position | undefined
  readonly peerPosition: Position | undefined
  /** Bytes of rows that the peer takes before it has credited any. */
  readonly creditBytes: number
  readonly refusesDiverged: boolean
  /** The origins of which this store holds all rows at a revision. */
  readonly originsAt: (at: number) => Promise<readonly Origin[]>
  readonly changesSince: Store['changesSince']
  readonly derive: Derive
  readonly served: () => ServedStatus
  readonly onApplied: (applied: Applied) => void
  readonly onBookmark: (bookmark: Bookmark) => void
  readonly onReport: (report: Report) => void
}

export interface SessionEnd {
  /** Undefined when the connection was lost without a word. */
  readonly goodbye: (Goodbye & { readonly by: 'self' | 'peer' }) | undefined
  readonly reason: string
}

export interface Session {
  /** Resolves after the last effect: nothing of this session changes the store any more. */
  readonly done: Promise<SessionEnd>
  readonly sent: () => Position | undefined
  readonly stored: () => Position | undefined
  readonly counters: () => Counters
  /** Something that a bookmark tells has changed. */
  announce(): void
  /** Sends a report; resolves when the channel takes more, or has ended. */
  report(report: Report): Promise<void>
  end(code: GoodbyeCode, reason: string): void
}

/** What either end lets the other send before it credits more. */
export const creditWindowBytes = 4 * 1024 * 1024
const creditStepBytes = creditWindowBytes / 8
const bookmarkEveryMs = 2_000
const bookmarkCoalesceMs = 5
const bookmarkDelayMs = 3
const idleMarkMs = 40
/** The other end sends a bookmark every 2 s: after so long without any frame it is gone, even if nobody said so. */
const silenceMaxMs = 7_000
/** Wake-ups are hints: without one, the log is looked at as often as this. */
const slowPollMs = 30_000
const readLimit = 500

/** One session after its handshake: performs the effects of both steps on the store and the channel. The same for both ends. */
export function startSession(deps: SessionDeps, options: SessionOptions): Session {
  const { store, clock, log } = deps
  const { channel, sight, self, peer } = options
  const outbound = createOutbound()
  const inbound = createInbound(options.peerStore, options.position)
  const inboundDeps = { ...inboundDefaults, sight, refusesDiverged: options.refusesDiverged }
  const outboundDeps = { sight, measure: (delivered: Parameters<typeof encodeRow>[0]) => encodeRow(delivered).length }
  const done = Promise.withResolvers<SessionEnd>()
  const underway = new Set<Promise<void>>()
  const count = { rowsReceived: 0, rowsApplied: 0, rowsRefused: 0, bytesReceived: 0 }
  let ending: SessionEnd | undefined
  let creditOwed = 0
  let sequence = 0
  let lastBookmarkMs = Number.NEGATIVE_INFINITY
  let bookmarkTimer: Disposable | undefined
  /** A bookmark is due within the time in which they are coalesced. */
  let announced = false
  let lastHeardMs = clock.monotonicMs()
  let idleMark: Message | undefined
  let idleTimer: Disposable | undefined
  let lifeTimer: Disposable | undefined
  let localMark: Position | undefined
  let lastWritten: readonly Version[] = []

  const send = (message: Message) => channel.send(encodeMessage(message))

  function finish(end: SessionEnd): void {
    if (ending) return
    ending = end
    listening[Symbol.dispose]()
    poll[Symbol.dispose]()
    bookmarkTimer?.[Symbol.dispose]()
    idleTimer?.[Symbol.dispose]()
    lifeTimer?.[Symbol.dispose]()
    void Promise.allSettled(underway).then(() => done.resolve(end))
  }

  function end(code: GoodbyeCode, reason: string): void {
    if (ending) return
    send({ type: 'goodbye', goodbye: { code, reason } })
    channel.end()
    finish({ goodbye: { code, reason, by: 'self' }, reason })
  }

  /** Every commit of anybody is a mark for everybody: those that bring nothing wait, and the last one speaks for them. */
  function sendRows({ message, idle }: Extract<OutboundEffect, { type: 'send' }>): void {
    idleMark = idle ? message : undefined
    if (!idle) send(message)
    else idleTimer ??= clock.after(idleMarkMs, sendIdleMark)
  }

  function sendIdleMark(): void {
    idleTimer = undefined
    if (idleMark && !ending) send(idleMark)
    idleMark = undefined
  }

  /** Runs an effect that takes time. A failure of it ends the session; the next one resumes by position. */
  function run(task: Promise<void>): void {
    const guarded = task
      .catch((cause: unknown) => {
        log.warn({ peer, err: cause }, 'a sync session failed')
        end('failed', messageOf(cause))
      })
      .finally(() => underway.delete(guarded))
    underway.add(guarded)
  }

  function outward(event: OutboundEvent): void {
    if (ending) return
    for (const effect of outboundStep(outbound, event, outboundDeps)) {
      if (effect.type === 'send') sendRows(effect)
      else run(read(effect).then(outward))
    }
  }

  async function read(effect: Exclude<OutboundEffect, { type: 'send' }>): Promise<OutboundEvent> {
    try {
      // Nothing more is read for a peer that does not keep up.
      await channel.drained()
      switch (effect.type) {
        case 'read-mark':
          return { type: 'marked', mark: await store.mark() }
        case 'read-origins':
          return { type: 'origins', origins: await options.originsAt(effect.at) }
        case 'read-rows': {
          const after = effect.after === undefined ? {} : { after: effect.after }
          const rows = await store.scan({ origin: effect.origin }, { at: effect.at, limit: readLimit, ...after })
          const last = rows.at(-1)
          return { type: 'rows', rows, ...(rows.length === readLimit && last ? { next: keyText(last.key) } : {}) }
        }
        case 'read-changes': {
          const resume = effect.resume === undefined ? {} : { resume: effect.resume }
          const { versions, next } = await options.changesSince(effect.after, effect.through, {
            limit: readLimit,
            ...resume,
          })
          const candidates: Candidate[] = []
          for (const version of versions) candidates.push(await candidateOf(version, effect.after))
          return { type: 'changes', candidates, ...(next === undefined ? {} : { next }) }
        }
      }
    } catch (cause) {
      if (cause instanceof HorizonError) return { type: 'lost' }
      throw cause
    }
  }

  async function candidateOf(version: Version, after: number): Promise<Candidate> {
    if (sight.reach(version.key) !== 'by-row' || (version.row && sight.sees(version.row))) return { version }
    const before = (await store.history(version.key)).find((former) => former.revision <= after)?.row
    return before ? { version, before } : { version }
  }

  function inward(event: InboundEvent): void {
    if (ending) return
    for (const effect of inboundStep(inbound, event, inboundDeps)) perform(effect)
  }

  function perform(effect: InboundEffect): void {
    switch (effect.type) {
      case 'credit':
        creditOwed += effect.bytes
        if (creditOwed >= creditStepBytes) payCredit()
        return
      case 'refused':
        count.rowsRefused += effect.keys.length
        log.warn(
          { peer, rows: effect.keys.length, first: effect.keys[0] },
          'refused rows that the peer may not speak for',
        )
        return
      case 'stored':
        announce()
        if (localMark) options.onApplied({ position: effect.position, localMark, written: lastWritten })
        lastWritten = []
        return
      case 'goodbye':
        return void end(effect.code, effect.reason)
      case 'list':
        return void run(list(effect.origins).then((keys) => inward({ type: 'listed', keys })))
      case 'apply':
        return void run(apply(effect.changes, effect.position))
    }
  }

  async function list(origins: readonly Origin[]): Promise<readonly ResourceKey[]> {
    const { revision } = await store.head()
    const keys: ResourceKey[] = []
    for (const origin of origins) for (const row of await store.scan({ origin }, { at: revision })) keys.push(row.key)
    return keys
  }

  async function apply(changes: readonly Change[], position: Position): Promise<void> {
    const derived = changes.length > 0 ? await options.derive(changes) : []
    const why = { subject: peer, intent: `sync up to ${position.revision}` }
    const commits = commitsOf([...changes, ...derived], positionChange(self, peer, position), why)
    // All in one turn: the store puts them into one transaction.
    const outcomes = await Promise.all(commits.map((commit) => store.commit(commit)))
    const written: Version[] = []
    for (const outcome of outcomes) {
      if (!outcome.ok) throw new Error(`the store refused a round of ${peer}: ${JSON.stringify(outcome.conflicts)}`)
      written.push(...outcome.written)
      localMark = outcome.position
    }
    count.rowsApplied += written.length
    lastWritten = written
    inward({ type: 'applied' })
  }

  function payCredit(): void {
    if (creditOwed > 0) send({ type: 'credit', bytes: creditOwed })
    creditOwed = 0
  }

  /** At once if the last bookmark is some milliseconds old, else when it is. */
  function announce(): void {
    if (ending || announced) return
    announced = true
    // Never at once: what is stored is soon served too, and one bookmark tells both, after the work that it tells of.
    rearm(Math.max(bookmarkDelayMs, lastBookmarkMs + bookmarkCoalesceMs - clock.monotonicMs()))
  }

  function rearm(waitMs: number): void {
    bookmarkTimer?.[Symbol.dispose]()
    bookmarkTimer = clock.after(waitMs, bookmark)
  }

  function bookmark(): void {
    if (ending) return
    announced = false
    sequence += 1
    lastBookmarkMs = clock.monotonicMs()
    const { served, verdicts, silentProxies } = options.served()
    const stored = inbound.position?.store === options.peerStore ? inbound.position.revision : 0
    const sent = outbound.position?.revision ?? 0
    payCredit()
    send({
      type: 'bookmark',
      bookmark: { sequence, sent, stored, served, verdicts, silentProxies, counters: counters() },
    })
    rearm(bookmarkEveryMs)
  }

  function counters(): Counters {
    const { proxies, proxiesConnected } = options.served()
    return { ...count, proxies, proxiesConnected }
  }

  function receive(bytes: Uint8Array): void {
    if (ending) return
    lastHeardMs = clock.monotonicMs()
    let message: Message | undefined
    try {
      message = decodeMessage(bytes)
    } catch (cause) {
      return void end('protocol', `a frame of ${bytes.length} bytes cannot be read: ${messageOf(cause)}`)
    }
    switch (message?.type) {
      case undefined:
        return
      case 'rows':
        count.rowsReceived += message.rows.length
        count.bytesReceived += message.bytes
        return void inward(message)
      case 'mark':
      case 'replace':
        return void inward(message)
      case 'credit':
        return void outward({ type: 'credited', bytes: message.bytes })
      case 'bookmark':
        return void options.onBookmark(message.bookmark)
      case 'report':
        return void options.onReport(message.report)
      case 'goodbye':
        channel.end()
        return void finish({ goodbye: { ...message.goodbye, by: 'peer' }, reason: message.goodbye.reason })
      case 'hello':
      case 'welcome':
        return void end('protocol', `a second ${message.type}`)
    }
  }

  async function open(): Promise<void> {
    localMark = await store.mark()
    const reason = await replaceReason(store, options.peerPosition)
    outward({ type: 'credited', bytes: options.creditBytes })
    outward({ type: 'opened', position: reason ? undefined : options.peerPosition, reason })
    if (options.position) options.onApplied({ position: options.position, localMark, written: [] })
    bookmark()
    channel.onMessage(receive)
  }

  /** A look that comes late says that we were busy, not that the other end was silent: what it sent may still lie unread. */
  function listenForLife(): void {
    const dueMs = clock.monotonicMs() + bookmarkEveryMs
    lifeTimer = clock.after(bookmarkEveryMs, () => {
      const nowMs = clock.monotonicMs()
      const silentMs = Math.round(nowMs - lastHeardMs)
      if (silentMs < silenceMaxMs || nowMs - dueMs > bookmarkEveryMs / 2) return listenForLife()
      const reason = `nothing was heard for ${silentMs} ms`
      channel.cut(reason)
      return finish({ goodbye: undefined, reason })
    })
  }

  const wake = () => outward({ type: 'woken' })
  const listening = store.onMark(wake)
  let poll = clock.after(slowPollMs, function again() {
    wake()
    poll = clock.after(slowPollMs, again)
  })
  listenForLife()
  void channel.ended.then(({ reason }) => finish({ goodbye: undefined, reason }))
  run(open())
  return {
    done: done.promise,
    sent: () => outbound.position,
    stored: () => inbound.position,
    counters,
    announce,
    report(report) {
      if (!ending) send({ type: 'report', report })
      return channel.drained()
    },
    end,
  }
}

async function replaceReason(store: Store, position: Position | undefined): Promise<ReplaceReason | undefined> {
  if (!position) return 'new'
  const standing = await store.standing(position)
  return standing === 'valid' ? undefined : standing
}
