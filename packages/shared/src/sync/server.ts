import { type JsonObject, messageOf, type Result } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Tracer } from '../env/trace.ts'
import type { Lead } from '../leader/election.ts'
import { globalOrigin } from '../resource/resource.ts'
import type { Store } from '../store/store.ts'
import type { Listen, OnCall } from '../transport/transport.ts'
import { createAdmission } from './admission.ts'
import type { Derive } from './applications.ts'
import { createFormers, type Former, formerStayMs } from './formers.ts'
import type { Admitted } from './handshake.ts'
import type { InflowLimit } from './inflow.ts'
import { ownProtocol, type ProtocolOffer } from './log/protocol.ts'
import type { SightRules } from './log/who-sees.ts'
import { createMarks } from './marks.ts'
import { nothingObserved, type SyncObserver } from './observer.ts'
import { createPace, type Written } from './pace.ts'
import { startPolling } from './polling.ts'
import { type Receipt, type WaitOptions, waitForReceipts } from './receipts.ts'
import { createReplicas } from './replicas.ts'
import { createZoneSessions, type ZoneQueries, type ZoneSessions } from './zone-sessions.ts'
import { createZoneBoard, type ZoneStatus } from './zone-status.ts'

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
  /** The lead of this process among the replicas of the global. Default: there is one process. */
  readonly lead?: () => Lead | undefined
  /** Default: the global answers no queries of zones. */
  readonly queries?: ZoneQueries
  readonly observer?: SyncObserver
  /** Default: nothing is traced. */
  readonly tracer?: Tracer | undefined
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
  /** The replica with which a zone has its session; undefined if it is this process, or if the zone has none. */
  replicaOf(zone: string): string | undefined
  /** The zones with a session with this process. */
  connectedHere(): readonly string[]
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
  /** Asks a zone; resolves with its answer, or with the reason why there is none. */
  readonly ask: ZoneSessions['ask']
}

const noQueries: ZoneQueries = { handlersFor: () => ({}) }

/** Accepts zones, one session per zone, and exchanges rows with them. The token determines the name of the zone. */
export async function startSyncServer(deps: SyncServerDeps, options: SyncServerOptions): Promise<SyncServer> {
  const { store, clock, rules, derive, recall, queries = noQueries, observer = nothingObserved } = deps
  const { version, hostname, replica, inflow, protocol = ownProtocol } = options
  const log = deps.log.child({ part: 'sync' })
  const closed = new AbortController()
  const board = createZoneBoard(clock, deps.onStatus ?? (() => {}), options.reportBytesMax, observer)
  const marks = createMarks(store)
  const { lead = () => ({ term: 0, guards: [] }) } = deps
  const formers = createFormers({ store, clock, log, lead, stayMs: options.formerStayMs ?? formerStayMs })
  const replicas = replica === undefined ? undefined : createReplicas({ store, clock, instance: replica })
  const remote = () => polling.remote()
  const parts = { store, clock, log, rules, derive, board, formers, marks }
  const sessions = createZoneSessions({ ...parts, remote, inflow, queries, tracer: deps.tracer })
  const keepPace = createPace(clock, board, () => sessions.byZone.keys())
  const admit = createAdmission(
    { store, clock, log, board, sessions, recall },
    { version, hostname, protocol },
    closed.signal,
  )

  board.marked((await marks.look()).revision)
  const polling = startPolling({ store, clock, log, board, marks, formers, sessions, replicas })

  const onCall: OnCall = (caller, accept, refuse) => {
    void authenticated(deps, caller.token).then((result) => {
      if (result.ok) return admit(result.value, accept())
      observer.callerRefused()
      log.warn({ address: caller.address }, `refused a caller: ${result.error}`)
      return refuse(result.error)
    })
  }
  const doors = await Promise.all(options.listen.map((listen) => listen(onCall)))

  return {
    ports: doors.map((door) => door.port),
    zones: () => board.zones(),
    replicaOf(zone) {
      const found = sessions.byZone.has(zone) ? undefined : polling.remote().get(zone)
      return found?.status.connected ? found.replica : undefined
    },
    connectedHere: () => [...sessions.byZone.keys()],
    onChange: (listen) => board.onChange(listen),
    waitFor: (wait, signal) => waitForReceipts(clock, board, wait, signal),
    keepPace: (written) => keepPace(written, closed.signal),
    release(zone, hold) {
      const session = sessions.byZone.get(zone)?.session
      session?.askRelease(hold)
      return session !== undefined
    },
    keep: (zone, subject) => formers.keep(zone, subject),
    formers: () => formers.byZone(),
    disconnect: (zone, reason) => sessions.byZone.get(zone)?.session.end('failed', reason),
    ask: sessions.ask,
    async [Symbol.asyncDispose]() {
      closed.abort()
      polling[Symbol.dispose]()
      const open = [...sessions.byZone.values()].map(({ session }) => session)
      for (const session of open) session.end('shutdown', 'the control plane of the global has stopped')
      await Promise.all(open.map((session) => session.done))
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
