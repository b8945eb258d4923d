import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { globalOrigin } from '../resource/resource.ts'
import type { Store } from '../store/store.ts'
import type { Channel, Dialer } from '../transport/transport.ts'
import { creditWindowBytes } from './credit.ts'
import { firstMessage, standingOf } from './handshake.ts'
import { beginIncarnation } from './incarnation.ts'
import { encodeMessage } from './log/frames.ts'
import type { Goodbye, Hello, ReserveRequest, Welcome } from './log/messages.ts'
import type { ProtocolOffer } from './log/protocol.ts'
import { positionFrom, positionKey, uncoveredFrom } from './log/rounds.ts'
import { type Outcome, refusedBy } from './uplink-retries.ts'
import type { StateKeeper } from './uplink-state.ts'
import { judgeWelcome } from './welcome.ts'

export interface OpeningDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** Numbers that the zone may give to names; each session may grant more. */
  readonly grants?: {
    request(): ReserveRequest
    /** Resolves when the zone has stored the grant. The session exchanges rows only after that. */
    granted(welcome: Pick<Welcome, 'position' | 'reserved' | 'recall'>): Promise<void>
  }
}

interface Deps extends OpeningDeps {
  readonly state: StateKeeper
  /** The store of another global, once an operator has accepted it. */
  readonly acceptedStore: () => string | undefined
  /** Runs the session until it ends. The channel is closed after it. */
  readonly converse: (opened: Opened, signal: AbortSignal) => Promise<Outcome>
}

interface Options {
  readonly dialer: Pick<Dialer, 'dial'>
  readonly zone: string
  readonly protocol: ProtocolOffer
  /** How this process introduces itself. */
  readonly self: Pick<Hello, 'host' | 'version' | 'replica' | 'startedAtMs' | 'leaderTerm'>
}

/** A channel on which both ends have agreed to a session. */
export interface Opened {
  readonly channel: Channel
  readonly welcome: Welcome
  /** Whether the history of this zone holds the global's position. */
  readonly standing: Welcome['standing']
  /** Origins with rows in this store that the global's store has never named completely. */
  readonly uncovered: readonly string[]
  /** The monotonic time just before the hello was sent. */
  readonly helloAtMs: number
}

/**
 * Opens a session with the global, one per call: dials, sends the hello and judges the welcome. If the global has rows
 * of this zone that this store does not hold, the zone begins a new incarnation first and then dials again.
 */
export function createOpening(deps: Deps, { dialer, zone, protocol, self }: Options) {
  const { store, clock, log, state } = deps
  /**
   * This process has begun a new incarnation. It begins only one, even if a session is cut before the global has it.
   */
  let begun = false

  async function open(signal: AbortSignal): Promise<Outcome> {
    const known = await store.get(positionKey(zone, globalOrigin))
    const position = state.latest.value.position ?? positionFrom(known)
    const uncovered = uncoveredFrom(known)
    state.change({ position, globalStoreId: position?.store })
    const dialled = await dialer.dial(signal)
    if (!dialled.ok) return { ...dialled.error, wasConnected: false }
    using channel = dialled.value
    const ownHello = await hello(uncovered)
    const helloAtMs = clock.monotonicMs()
    channel.send(encodeMessage({ type: 'hello', hello: ownHello }))
    const first = await firstMessage(clock, channel)
    if (typeof first === 'string') {
      const { refused } = await endedBy(channel)
      return { refused, reason: first, wasConnected: false }
    }
    if (first.type === 'goodbye') return refusedBy(first.goodbye, false)
    const knownStore = state.latest.value.position?.store
    const judged = judgeWelcome(first, { zone, protocol, knownStore, acceptedStore: deps.acceptedStore() })
    if (!judged.ok) {
      const { goodbye, hold } = judged.error
      if (hold) state.change({ hold })
      leave(channel, goodbye)
      return { refused: true, reason: goodbye.reason, wasConnected: false }
    }
    const welcome = judged.value
    const standing = await standingOf(store, welcome.position)
    if (standing === 'diverged' && (await beginsIncarnation(welcome))) {
      const goodbye: Goodbye = { code: 'shutdown', reason: 'this zone begins a new incarnation' }
      leave(channel, goodbye)
      return { refused: false, reason: goodbye.reason, wasConnected: true }
    }
    await deps.grants?.granted(welcome)
    return await deps.converse({ channel, welcome, standing, uncovered, helloAtMs }, signal)
  }

  async function hello(uncovered: readonly string[]): Promise<Hello> {
    const { position } = state.latest.value
    const facts = { protocol, storeId: store.id, incarnation: store.incarnation, position }
    const reserve = deps.grants?.request()
    return { ...self, ...facts, uncovered, creditBytes: creditWindowBytes, ...(reserve ? { reserve } : {}) }
  }

  /** The global has rows of this zone that this store does not hold. */
  async function beginsIncarnation({ formerIncarnation }: Welcome): Promise<boolean> {
    if (begun || !(await beginIncarnation(store, zone, formerIncarnation))) return false
    begun = true
    log.warn(
      { incarnation: store.incarnation },
      'the global has a later history of this zone: a new incarnation begins',
    )
    return true
  }

  return open
}

function leave(channel: Channel, goodbye: Goodbye): void {
  channel.send(encodeMessage({ type: 'goodbye', goodbye }))
  channel.end()
}

async function endedBy(channel: Channel): Promise<{ readonly refused: boolean }> {
  channel.cut('no welcome')
  return channel.ended
}
