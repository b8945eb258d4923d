import type { Result } from '../base/base.ts'
import { type JsonObject, messageOf } from '../base/base.ts'
import { type Clock, repeat } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { globalOrigin } from '../resource/resource.ts'
import type { Store } from '../store/store.ts'
import type { Channel, Listen, OnCall } from '../transport/transport.ts'
import type { Derive } from './applications.ts'
import { type Completing, createCompleteness, nothingComplete } from './completeness.ts'
import { creditWindowBytes } from './credit.ts'
import { newestEpochs, nextEpoch } from './epochs.ts'
import { createFormers, type Former, formerStayMs } from './formers.ts'
import { createHandshakes, firstMessage } from './handshake.ts'
import type { InflowLimit } from './inflow.ts'
import { encodeMessage } from './log/frames.ts'
import type { Goodbye, GoodbyeCode, Hello } from './log/messages.ts'
import { agree, ownProtocol, type ProtocolOffer } from './log/protocol.ts'
import { positionFrom, positionKey } from './log/rounds.ts'
import { type SightRules, sightOfZone } from './log/who-sees.ts'
import { createMarks } from './marks.ts'
import { createPace, type Written } from './pace.ts'
import { type Receipt, type WaitOptions, waitForReceipts } from './receipts.ts'
import { createReplicas, exchangeEveryMs, type RemoteZone, type Replicas } from './replicas.ts'
import { nothingServed } from './served-status.ts'
import { type Session, startSession } from './session.ts'
import { createSharedReads } from './shared-reads.ts'
import { createZoneBoard, type ZoneStatus } from './zone-status.ts'

/** A caller whose token was accepted. */
export interface Admitted {
  readonly zone: string
  /** Calls `end` once when the token is no longer valid, with a reason for the zone. */
  readonly watch?: (end: (reason: string) => void) => Disposable
}

export interface SyncServerDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** The zone of a token, or why the token is refused. The caller receives that text. */
  readonly authenticate: (token: string) => Promise<Result<Admitted, string>>
  readonly rules: SightRules
  readonly derive?: Derive
  /** The part of its last report that a zone gets back after it has lost its store. */
  readonly recall?: (report: ZoneStatus['report']) => JsonObject | undefined
  readonly onStatus?: (status: ZoneStatus) => void
}

export interface SyncServerOptions {
  /** The doors for zones, each with its own transport. */
  readonly listen: readonly Listen[]
  readonly version: string
  /** The name of this machine, for display. */
  readonly hostname: string
  /** The name of this process if several processes serve zones from the same store. No process ever reuses a name. */
  readonly replica?: string
  /** How long rows of a zone's lost store stay. Default: 5 minutes. */
  readonly formerStayMs?: number
  /** How many bytes the report of one zone may have; further entries are left out. Default: no limit. */
  readonly reportBytesMax?: number
  /** How fast a zone may send rows. Default: no limit. */
  readonly inflow?: InflowLimit
  /** The protocol versions and features of this global. Default: those of this build. */
  readonly protocol?: ProtocolOffer
}

export interface SyncServer extends AsyncDisposable {
  /** The port of each door, in the order of `listen`. */
  readonly ports: readonly number[]
  /** Every zone that has had a status in this process, connected or not. */
  zones(): ReadonlyMap<string, ZoneStatus>
  onChange(listener: () => void): Disposable
  /** Waits until zones have stored or served a revision of this store. */
  waitFor(options: WaitOptions, signal: AbortSignal): Promise<readonly Receipt[]>
  /** Resolves when the writer of a large commit may make the next one; see `createPace`. */
  keepPace(written: Written): Promise<void>
  /** Requests that a zone releases a hold. False if the zone has no session with this process. */
  release(zone: string, hold: string): boolean
  /** Keeps the rows that remain of a zone's lost store. False if there are none. */
  keep(zone: string, subject: string): Promise<boolean>
  /** The rows that remain of lost stores, by zone. */
  formers(): ReadonlyMap<string, Former>
  /** Ends the session of a zone, if it has one; the zone dials again and is authenticated anew. */
  disconnect(zone: string, reason: string): void
}

interface Holder extends Completing {
  readonly session: Session
  readonly epoch: number
}

/** The longest delay that a lost wake-up causes. One read serves all zones. */
const lookEveryMs = 2_000

/** Accepts zones, one session per zone, and exchanges rows with them. The token determines the name of the zone. */
export async function startSyncServer(deps: SyncServerDeps, options: SyncServerOptions): Promise<SyncServer> {
  const { store, clock, rules } = deps
  const log = deps.log.child({ part: 'sync' })
  const board = createZoneBoard(clock, deps.onStatus ?? (() => {}), options.reportBytesMax)
  const changesSince = createSharedReads(store)
  const marks = createMarks(store)
  const holderByZone = new Map<string, Holder>()
  const replicas =
    options.replica === undefined ? undefined : createReplicas({ store, clock, instance: options.replica })
  /** Zones with a session on another replica, as of the last exchange. */
  let remote: ReadonlyMap<string, RemoteZone> = new Map()
  const completeness = createCompleteness({ store, sessions: holderByZone, remote: () => remote })
  /** The handshakes of one zone run one after the other. Limit: one promise per zone. */
  const turnByZone = new Map<string, Promise<void>>()
  const handshakes = createHandshakes()
  const keepPace = createPace(clock, board, () => holderByZone.keys())
  const closed = new AbortController()

  const formers = createFormers({ store, clock, log, stayMs: options.formerStayMs ?? formerStayMs })

  board.marked((await marks.look()).revision)
  const marked = () => marks.look().then((mark) => board.marked(mark.revision))
  // If the store does not answer, the next look finds the mark.
  const listening = store.onMark(() => void marked().catch(() => undefined))
  const looking = repeat(clock, lookEveryMs, () =>
    look().catch((cause: unknown) => log.warn({ reason: messageOf(cause) }, 'cannot read the store')),
  )
  // `look` above already logs a store that does not answer.
  const exchanging = replicas && repeat(clock, exchangeEveryMs, () => exchange(replicas).catch(() => undefined))

  /** Finds what a lost wake-up has missed: commits and sessions of other processes, and rows that have expired. */
  async function look(): Promise<void> {
    const { revision } = await marks.look()
    if (board.marked(revision)) for (const { session } of holderByZone.values()) session.wake()
    await formers.look()
    if (!replicas) return
    const newest = await newestEpochs(store)
    for (const [zone, { session, epoch }] of [...holderByZone]) {
      if ((newest.get(zone) ?? 0) > epoch) session.end('fenced', 'a newer session was opened on another replica')
    }
  }

  /** Publishes the zones of this replica to the others and follows the zones that they publish. */
  async function exchange({ publish, collect }: Replicas): Promise<void> {
    const own = [...board.own()]
    await publish(
      new Map(own.map(([zone, known]) => [zone, { ...known, completeAt: holderByZone.get(zone)?.completeAt }])),
    )
    const before = remote
    remote = await collect()
    for (const zone of before.keys()) {
      if (!remote.has(zone) && !board.own().has(zone) && board.status(zone)?.connected)
        board.ended(zone, { reason: 'the replica that it was connected to is gone', goodbye: undefined })
    }
    for (const [zone, found] of remote) {
      if (holderByZone.has(zone)) continue
      board.followed(zone, found)
      if (found.completeAt !== before.get(zone)?.completeAt) completeness.announce(zone)
    }
  }

  let begun: Promise<void> | undefined
  /**
   * Readers have seen a history that this store does not hold, because it was restored from a backup. Rows that are
   * written from now on belong to a new incarnation. Otherwise newer stamps of the lost history, mainly on tombstones,
   * would win over them.
   */
  function beginIncarnationOnce(): Promise<void> {
    begun ??= store.raiseIncarnation(Math.max(store.incarnation + 1, Math.floor(clock.wallMs())))
    return begun
  }

  async function admitZone({ zone, watch }: Admitted, channel: Channel, hello: Hello): Promise<void> {
    const agreed = agree(options.protocol ?? ownProtocol, hello.protocol, zone)
    const refusal = agreed.ok ? refusalOf(holderByZone.get(zone), hello) : undefined
    if (!agreed.ok || refusal || closed.signal.aborted) {
      const goodbye: Goodbye = agreed.ok
        ? (refusal ?? { code: 'shutdown', reason: 'this control plane is stopping' })
        : { code: 'protocol', reason: agreed.error }
      log.warn({ zone, host: hello.host, code: goodbye.code }, `refused a session: ${goodbye.reason}`)
      board.refused(zone, goodbye)
      return leave(channel, goodbye)
    }
    const former = holderByZone.get(zone)
    former?.session.end('fenced', `a newer session of this zone was opened from ${hello.host}`)
    // Its last commit may still move the position from which the new session resumes.
    await former?.session.done
    const taken = await nextEpoch(store, zone, hello)
    const { epoch, formerIncarnation, standing, reserved, guard } = taken
    const recall = recallFor(zone, hello)
    const position = positionFrom(await store.get(positionKey(globalOrigin, zone)))
    const facts = { ...agreed.value, storeId: store.id, version: options.version, host: options.hostname }
    if (taken.showsRestore) await beginIncarnationOnce()
    const zoneFacts = { formerIncarnation, standing, reserved, ...(recall ? { recall } : {}) }
    const welcome = { ...facts, zone, epoch, position, ...zoneFacts, creditBytes: creditWindowBytes }
    channel.send(encodeMessage({ type: 'welcome', welcome }))
    const session = startSession(
      { store, clock, log },
      {
        channel,
        self: globalOrigin,
        peer: zone,
        sight: sightOfZone(rules, zone),
        peerStore: hello.storeId,
        position,
        peerPosition: hello.position,
        peerStanding: standing,
        positionCounts: true,
        creditBytes: hello.creditBytes,
        ...(options.inflow ? { inflow: options.inflow } : {}),
        // A zone owns its rows, so the global never holds a removal of them.
        holds: false,
        relays: false,
        uncovered: [],
        formerBelow: hello.incarnation,
        formerStays: (rows) => formers.stays(zone, hello.incarnation, rows),
        guards: [guard],
        originsAt: (at, reason) => completeness.name(zone, holder, at, reason),
        changesSince,
        marks,
        derive: deps.derive ?? (async () => []),
        served: () => nothingServed,
        onApplied({ localMark }) {
          holder.storedAt = localMark.revision
          completeness.consider(zone, holder)
        },
        onReport: (report) => board.report(zone, report),
        onRelease: () => {},
        newestMark: () => board.newestMark(),
        onBookmark(bookmark) {
          holder.mark = bookmark.mark
          const own = { sent: session.sent()?.revision ?? 0, stored: session.stored()?.revision ?? 0 }
          board.bookmark(zone, bookmark, own)
          completeness.consider(zone, holder)
        },
      },
    )
    const holder: Holder = { session, hello, epoch, ...nothingComplete }
    holderByZone.set(zone, holder)
    completeness.begun(holder)
    const stored = standing === 'valid' ? hello.position?.revision : undefined
    board.connected(zone, epoch, hello, stored, agreed.value)
    log.info({ zone, epoch, host: hello.host }, 'a zone is connected')
    const watching = watch?.((reason) => session.end('refused', reason))
    void session.done.then((end) => {
      watching?.[Symbol.dispose]()
      if (holderByZone.get(zone) === holder) holderByZone.delete(zone)
      board.ended(zone, end)
      log.info({ zone, epoch, code: end.goodbye?.code }, `the session of a zone ended: ${end.reason}`)
    })
  }

  /** A zone with a new store or a newer incarnation has lost what it reported before. */
  function recallFor(zone: string, hello: Hello): JsonObject | undefined {
    const known = board.status(zone)
    if (!known || (known.storeId === hello.storeId && known.incarnation >= hello.incarnation)) return undefined
    return deps.recall?.(known.report)
  }

  async function meet(admitted: Admitted, channel: Channel): Promise<void> {
    const { zone } = admitted
    using place = handshakes.enter(zone)
    if (!place) return leave(channel, { code: 'failed', reason: 'too many sessions of this zone wait for a welcome' })
    const first = await firstMessage(clock, channel)
    if (typeof first === 'string' || first.type !== 'hello') {
      const reason = typeof first === 'string' ? first : `expected hello as the first frame, found ${first.type}`
      return leave(channel, { code: 'protocol', reason })
    }
    const turn = (turnByZone.get(zone) ?? Promise.resolve()).then(() => admitZone(admitted, channel, first.hello))
    const settled = turn.catch((cause: unknown) => {
      log.error({ zone, err: cause }, 'cannot open a session')
      leave(channel, { code: 'failed', reason: messageOf(cause) })
    })
    turnByZone.set(zone, settled)
    await settled
  }

  const onCall: OnCall = (caller, accept, refuse) => {
    void authenticated(deps, caller.token).then((result) => {
      if (result.ok) return meet(result.value, accept())
      log.warn({ address: caller.address }, `refused a caller: ${result.error}`)
      return refuse(result.error)
    })
  }
  const doors = await Promise.all(options.listen.map((listen) => listen(onCall)))

  return {
    ports: doors.map((door) => door.port),
    zones: () => board.zones(),
    onChange: (listen) => board.onChange(listen),
    waitFor: (wait, signal) => waitForReceipts(clock, board, wait, signal),
    keepPace: (written) => keepPace(written, closed.signal),
    release(zone, hold) {
      const holder = holderByZone.get(zone)
      holder?.session.askRelease(hold)
      return holder !== undefined
    },
    keep: (zone, subject) => formers.keep(zone, subject),
    formers: () => formers.byZone(),
    disconnect: (zone, reason) => holderByZone.get(zone)?.session.end('failed', reason),
    async [Symbol.asyncDispose]() {
      closed.abort()
      listening[Symbol.dispose]()
      looking[Symbol.dispose]()
      exchanging?.[Symbol.dispose]()
      const sessions = [...holderByZone.values()].map((holder) => holder.session)
      for (const session of sessions) session.end('shutdown', 'this control plane is stopping')
      await Promise.all(sessions.map((session) => session.done))
      await replicas?.leave().catch(() => {})
      await Promise.all(doors.map((door) => door.close()))
    },
  }
}

async function authenticated(deps: SyncServerDeps, token: string | undefined): Promise<Result<Admitted, string>> {
  if (!token) return { ok: false, error: 'expected a zone token in "authorization", found none' }
  try {
    const result = await deps.authenticate(token)
    if (result.ok && result.value.zone === globalOrigin)
      return { ok: false, error: `no zone may be called "${globalOrigin}"` }
    return result
  } catch (cause) {
    return { ok: false, error: `the token cannot be checked: ${messageOf(cause)}` }
  }
}

function refusalOf(holder: Holder | undefined, hello: Hello): Goodbye | undefined {
  if (!holder || holder.hello.replica === hello.replica) return undefined
  const { host, startedAtMs, storeId, replica } = holder.hello
  // If two processes use one store, the younger one keeps the session. This rule is fixed, so they never take turns.
  const isYounger = startedAtMs !== hello.startedAtMs ? hello.startedAtMs > startedAtMs : hello.replica > replica
  if (storeId === hello.storeId && isYounger) return undefined
  const code: GoodbyeCode = 'held-by-another'
  const how = storeId === hello.storeId ? 'with the same store' : 'with another store'
  return { code, reason: `this zone is held by ${host}, started ${new Date(startedAtMs).toISOString()}, ${how}` }
}

function leave(channel: Channel, goodbye: Goodbye): void {
  channel.send(encodeMessage({ type: 'goodbye', goodbye }))
  channel.end()
}
