import { type JsonObject, messageOf } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { globalOrigin } from '../resource/resource.ts'
import type { Store } from '../store/store.ts'
import type { Channel } from '../transport/transport.ts'
import { creditWindowBytes } from './credit.ts'
import { nextEpoch } from './epochs.ts'
import { type Admitted, createHandshakes, firstMessage } from './handshake.ts'
import { createIncarnationOnce } from './incarnation.ts'
import { encodeMessage } from './log/frames.ts'
import type { Goodbye, GoodbyeCode, Hello } from './log/messages.ts'
import { agree, type ProtocolOffer } from './log/protocol.ts'
import { positionFrom, positionKey } from './log/rounds.ts'
import type { ZoneSession, ZoneSessions } from './zone-sessions.ts'
import type { ZoneBoard, ZoneStatus } from './zone-status.ts'

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly board: ZoneBoard
  readonly sessions: Pick<ZoneSessions, 'byZone' | 'start'>
  /** The part of its last report that a zone gets back after it has lost its store. */
  readonly recall: ((report: ZoneStatus['report']) => JsonObject | undefined) | undefined
}

interface Options {
  readonly version: string
  readonly hostname: string
  readonly protocol: ProtocolOffer
}

/**
 * The handshakes with zones, up to the start of their sessions. A zone gets an epoch and a welcome, or a goodbye with
 * the reason. Once the signal is aborted, no zone gets a session.
 */
export function createAdmission(deps: Deps, { version, hostname, protocol }: Options, signal: AbortSignal) {
  const { store, clock, log, board, sessions } = deps
  /** The handshakes of one zone run one after the other. Limit: one promise per zone. */
  const turnByZone = new Map<string, Promise<void>>()
  const handshakes = createHandshakes()
  const beginIncarnationOnce = createIncarnationOnce(store, clock)

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

  async function admitZone(admitted: Admitted, channel: Channel, hello: Hello): Promise<void> {
    const { zone } = admitted
    const agreed = agree(protocol, hello.protocol, zone)
    const former = sessions.byZone.get(zone)
    const refusal = agreed.ok ? refusalOf(former, hello) : undefined
    if (!agreed.ok || refusal || signal.aborted) {
      const goodbye: Goodbye = agreed.ok
        ? (refusal ?? { code: 'shutdown', reason: 'the control plane of the global has stopped' })
        : { code: 'protocol', reason: agreed.error }
      log.warn({ zone, host: hello.host, code: goodbye.code }, `refused a session: ${goodbye.reason}`)
      board.refused(zone, goodbye)
      return leave(channel, goodbye)
    }
    former?.session.end('fenced', `a newer session of this zone was opened from ${hello.host}`)
    // Its last commit may still move the position from which the new session resumes.
    await former?.session.done
    const epoch = await nextEpoch(store, zone, hello)
    const { formerIncarnation, standing, reserved } = epoch
    const recall = recallFor(zone, hello)
    const position = positionFrom(await store.get(positionKey(globalOrigin, zone)))
    const facts = { ...agreed.value, storeId: store.id, version, host: hostname }
    if (epoch.showsRestore) await beginIncarnationOnce()
    const zoneFacts = { formerIncarnation, standing, reserved, ...(recall ? { recall } : {}) }
    const welcome = { ...facts, zone, epoch: epoch.epoch, position, ...zoneFacts, creditBytes: creditWindowBytes }
    channel.send(encodeMessage({ type: 'welcome', welcome }))
    sessions.start({ ...admitted, channel, hello, epoch, position, agreement: agreed.value })
  }

  /** A zone with a new store or a newer incarnation has lost what it reported before. */
  function recallFor(zone: string, hello: Hello): JsonObject | undefined {
    const known = board.status(zone)
    if (!known || (known.storeId === hello.storeId && known.incarnation >= hello.incarnation)) return undefined
    return deps.recall?.(known.report)
  }

  return meet
}

function refusalOf(current: ZoneSession | undefined, hello: Hello): Goodbye | undefined {
  if (!current || current.hello.replica === hello.replica) return undefined
  const { host, startedAtMs, storeId } = current.hello
  if (storeId === hello.storeId && replaces(hello, current.hello)) return undefined
  const code: GoodbyeCode = 'held-by-another'
  const how = storeId === hello.storeId ? 'with the same store' : 'with another store'
  return {
    code,
    reason: `another control plane runs as this zone: ${host}, started ${new Date(startedAtMs).toISOString()}, ${how}; stop one of the two`,
  }
}

/**
 * Of two processes with one store, the one with the later lead keeps the session, and without leads the younger one.
 * The rule is fixed, so they never take turns.
 */
function replaces(next: Hello, current: Hello): boolean {
  const [nextTerm, currentTerm] = [next.leaderTerm ?? 0, current.leaderTerm ?? 0]
  if (nextTerm !== currentTerm) return nextTerm > currentTerm
  if (next.startedAtMs !== current.startedAtMs) return next.startedAtMs > current.startedAtMs
  return next.replica > current.replica
}

function leave(channel: Channel, goodbye: Goodbye): void {
  channel.send(encodeMessage({ type: 'goodbye', goodbye }))
  channel.end()
}
