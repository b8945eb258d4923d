import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Tracer } from '../env/trace.ts'
import type { Origin } from '../resource/resource.ts'
import type { Position, Store } from '../store/store.ts'
import { type ApplicationOptions, createApplications } from './applications.ts'
import { createCredit } from './credit.ts'
import type { InflowLimit } from './inflow.ts'
import type { Lifetime } from './lifetime.ts'
import { createInbound, type InboundEffect, type InboundEvent, inboundDefaults, inboundStep } from './log/inbound.ts'
import type { Hold, Message, RowMessage } from './log/messages.ts'
import type { Sight } from './log/who-sees.ts'
import type { Patience } from './patience.ts'

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly tracer: Tracer | undefined
  readonly lifetime: Lifetime
  readonly patiently: Patience['patiently']
  readonly send: (message: Message) => void
  /** A value that a bookmark reports has changed. */
  readonly announce: () => void
}

export interface ReceiverOptions extends ApplicationOptions {
  readonly sight: Sight
  /** How fast received rows are credited. Default: at once. */
  readonly inflow?: InflowLimit
  /** Holds rows of the peer's own origin if they would remove too much or come from another history. */
  readonly holds: boolean
  /** Relayed origins with rows in this store that the peer's store has never named completely. */
  readonly uncovered: readonly Origin[]
  /** Rows of the peer's own origin below this incarnation stay for a while after a replacement without them. */
  readonly formerBelow: number
  /** The peer has sent a mark. All rows up to it are here and are stored next. */
  readonly onMark?: (mark: Position) => void
  readonly onHold?: (hold: Hold | undefined) => void
}

/** The receiving half of a session: performs the effects of the inbound step, and pays credit for the rows. */
export function createReceiver(deps: Deps, options: ReceiverOptions) {
  const { store, clock, log, tracer, lifetime, patiently, send, announce } = deps
  const { sight, peer, holds, relays, formerBelow } = options
  const state = createInbound(options.peerStore, options.position, options.uncovered)
  const stepDeps = { ...inboundDefaults, sight, owner: peer, holds, relays, formerBelow }
  const credit = createCredit({ clock, inflow: options.inflow, send: (bytes) => send({ type: 'credit', bytes }) })
  const applications = createApplications({ store, lifetime, tracer }, options)
  const count = { rowsReceived: 0, rowsRefused: 0, bytesReceived: 0 }

  function step(event: InboundEvent): void {
    // A commit that finishes after the end of the session still moves the position. The next session resumes there.
    if (lifetime.signal.aborted && event.type !== 'applied') return
    for (const effect of inboundStep(state, event, stepDeps)) {
      if (!lifetime.signal.aborted || effect.type === 'stored') perform(effect)
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
        announce()
        return void applications.stored(effect.position)
      case 'held':
        announce()
        options.onHold?.(effect.hold)
        if (effect.hold) log.warn({ ...effect.hold }, `a change is held for an operator: ${effect.hold.reason}`)
        else log.info({ peer }, 'no change is held')
        return
      case 'goodbye':
        return void lifetime.end(effect.code, effect.reason)
      case 'list':
        return void lifetime.run(patiently(() => applications.list(effect.origins)).then(step))
      case 'apply':
        return void lifetime.run(patiently(() => applications.apply(effect)).then((event) => event && step(event)))
    }
  }

  return {
    open: applications.open,
    receive(message: RowMessage): void {
      if (message.type === 'mark') options.onMark?.(message.position)
      if (message.type === 'rows') {
        const { rows, bytes } = message
        count.rowsReceived += rows.length
        count.bytesReceived += bytes
        if (!credit.received(bytes))
          lifetime.end('protocol', `the peer sent ${bytes} bytes of rows without credit for them`)
      }
      step(message)
    },
    release: (hold: string): void => step({ type: 'released', hold }),
    payCredit: credit.pay,
    stored: (): Position | undefined => state.position,
    hold: (): Hold | undefined => state.hold,
    counts: () => ({ ...count, rowsApplied: applications.rowsApplied() }),
    counted: applications.counted,
    [Symbol.dispose](): void {
      applications.close()
      credit[Symbol.dispose]()
    },
  }
}

export type Receiver = ReturnType<typeof createReceiver>
