import { err } from '../base/base.ts'
import type { Random } from '../env/random.ts'
import { supervise } from '../env/supervise.ts'
import type { Lead } from '../leader/election.ts'
import type { Latest } from '../streams/latest.ts'
import type { Dialer } from '../transport/transport.ts'
import { ownProtocol, type ProtocolOffer } from './log/protocol.ts'
import type { Ask } from './session-queries.ts'
import { type ConversationDeps, createConversation } from './uplink-conversation.ts'
import { createOpening, type OpeningDeps } from './uplink-opening.ts'
import { createRetries, type Outcome } from './uplink-retries.ts'
import { createUplinkState, type UplinkState } from './uplink-state.ts'
import { storeOfForeign } from './welcome.ts'

export interface UplinkDeps extends OpeningDeps, ConversationDeps {
  readonly random: Random
  /** The global requests a release. True if the id is of a hold outside of sync and this function has released it. */
  readonly onRelease?: (hold: string) => boolean
}

export interface UplinkOptions {
  readonly dialer: Dialer
  readonly zone: string
  readonly version: string
  readonly hostname: string
  /** The lead of this process among the replicas of its zone. Default: the zone has one process. */
  readonly lead?: Lead
  /**
   * Asks the store whether this process still leads, and rejects if it does not. A session that was replaced by a newer one
   * opens again only after this: a former leader that does not know of it would replace the session of the leader.
   */
  readonly confirmLead?: () => Promise<void>
  /** The store of another global, which an operator has accepted instead of the known one. */
  readonly acceptGlobalStore?: string
  /** The protocol versions and features of this zone. Default: those of this build. */
  readonly protocol?: ProtocolOffer
}

export interface Uplink extends AsyncDisposable {
  readonly state: Latest<UplinkState>
  /** An operator releases the hold. False if nothing is held, or if the id is of another hold. */
  release(hold?: string): boolean
  /** Starts a new session at once, for example because the dialer has a newer token. */
  redial(reason: string): void
  /** Asks the global; resolves with its answer, or with the reason why there is none. */
  readonly ask: Ask
}

/**
 * Keeps one session with the global open until disposed. The zone works on its own store with and without a session.
 */
export function startUplink(deps: UplinkDeps, options: UplinkOptions): Uplink {
  const { clock, random } = deps
  const { dialer, zone, hostname, version, protocol = ownProtocol, lead = { term: 0, guards: [] } } = options
  const log = deps.log.child({ part: 'uplink' })
  const startedAtMs = clock.wallMs()
  const self = {
    host: hostname,
    version,
    replica: random.uuid(),
    startedAtMs,
    ...(lead.term > 0 ? { leaderTerm: lead.term } : {}),
  }
  const stop = new AbortController()
  let acceptedStore = options.acceptGlobalStore
  const state = createUplinkState(clock, startedAtMs)
  const { converse, session } = createConversation({
    ...deps,
    log,
    state,
    zone,
    guards: lead.guards,
    release: (hold) => void (deps.onRelease?.(hold) || release(hold)),
  })
  const open = createOpening(
    { ...deps, log, state, acceptedStore: () => acceptedStore, converse },
    { dialer, zone, protocol, self },
  )
  const openAsLeader = confirmAfterFence(() => open(stop.signal), options.confirmLead)
  const retries = createRetries({ random, log, state, dialer }, openAsLeader)

  function release(hold: string | undefined): boolean {
    const held = state.latest.value.hold
    if (!held || (hold !== undefined && hold !== held.id)) return false
    log.warn({ hold: held.id }, `an operator released a held change: ${held.reason}`)
    const foreignStore = storeOfForeign(held)
    if (foreignStore !== undefined) {
      acceptedStore = foreignStore
      state.change({ hold: undefined })
      retries.hurry()
    } else session()?.release(held.id)
    return true
  }

  const running = supervise(clock, retries, stop.signal)
  return {
    state: state.latest,
    release,
    redial(reason) {
      retries.expectMove(session() !== undefined)
      session()?.end('shutdown', reason)
      retries.hurry()
    },
    async ask(name, request, signal) {
      const open = session()
      if (open) return open.ask(name, request, signal)
      const { reason } = state.latest.value
      return err({ code: 'ended', reason: `this zone has no session with the global${reason ? `: ${reason}` : ''}` })
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      // `supervise` ends only by throwing, here because of the abort.
      await running.catch(() => undefined)
      state.change({ phase: 'stopped', reason: '' })
    },
  }
}

/** Opens a session. After one that a newer session replaced, it opens another one only as the leader. */
function confirmAfterFence(open: () => Promise<Outcome>, confirmLead: UplinkOptions['confirmLead']) {
  let isFenced = false
  return async (): Promise<Outcome> => {
    if (isFenced) await confirmLead?.()
    const outcome = await open()
    isFenced = outcome.isFenced === true
    return outcome
  }
}
