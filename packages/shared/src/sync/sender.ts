import { createListeners } from '../base/listeners.ts'
import type { Clock } from '../env/clock.ts'
import type { Origin } from '../resource/resource.ts'
import type { Position, Store } from '../store/store.ts'
import type { Channel } from '../transport/transport.ts'
import type { Lifetime } from './lifetime.ts'
import { encodeRow } from './log/frames.ts'
import type { Message, ReplaceReason, Welcome } from './log/messages.ts'
import { createOutbound, isResting, type OutboundDeps, type OutboundEvent, outboundStep } from './log/outbound.ts'
import type { Sight } from './log/who-sees.ts'
import type { Marks } from './marks.ts'
import type { Patience } from './patience.ts'
import { type CausesBetween, createReads } from './reads.ts'
import { createSentMarks } from './sent-marks.ts'
import { createThroughput } from './throughput.ts'

interface Deps {
  readonly store: Store
  readonly clock: Clock
  readonly lifetime: Lifetime
  readonly patiently: Patience['patiently']
  readonly send: (message: Message) => void
}

export interface SenderOptions {
  readonly channel: Pick<Channel, 'drained'>
  readonly sight: Sight
  /** The peer's position in our log. */
  readonly peerPosition: Position | undefined
  /** Whether our history holds the peer's position. */
  readonly peerStanding: Welcome['standing']
  /** Bytes of rows that we may send before the first credit of the peer. */
  readonly creditBytes: number
  /** The origins that this store can name completely at a revision. */
  readonly originsAt: (at: number, reason: ReplaceReason) => Promise<readonly Origin[]>
  readonly changesSince: Store['changesSince']
  /** Selects the mark at which a round of changes ends. Default: the newest mark. */
  readonly marks?: Pick<Marks, 'read'>
  /** The trace contexts to send with a round. Default: none. */
  readonly causesBetween?: CausesBetween
}

/** Wake-ups are hints and may be lost: the sender also looks for a newer mark at this interval. */
const slowPollMs = 30_000

/** The sending half of a session: performs the effects of the outbound step on the store and the channel. */
export function createSender({ store, clock, lifetime, patiently, send }: Deps, options: SenderOptions) {
  const { channel, sight, peerPosition, peerStanding, creditBytes } = options
  const state = createOutbound()
  const stepDeps: OutboundDeps = { sight, measure: (delivered) => encodeRow(delivered).length }
  const read = createReads({ ...options, store })
  const throughput = createThroughput(clock)
  const marks = createSentMarks(clock, send)
  const rested = createListeners()
  let listening: Disposable | undefined
  let poll: Disposable | undefined

  function step(event: OutboundEvent): void {
    if (lifetime.signal.aborted) return
    for (const effect of outboundStep(state, event, stepDeps)) {
      // The session reads only as fast as the channel drains.
      if (effect.type !== 'send') lifetime.run(channel.drained().then(() => patiently(() => read(effect)).then(step)))
      else {
        if (effect.message.type === 'rows') throughput.sent(effect.message.bytes)
        marks.send(effect)
      }
    }
    if (isResting(state)) rested.call()
  }

  const wake = () => step({ type: 'woken' })

  return {
    /** Follows the marks of the store until disposed. */
    follow(): void {
      listening = store.onMark(wake)
      poll = clock.after(slowPollMs, function again() {
        wake()
        poll = clock.after(slowPollMs, again)
      })
    },
    /** Begins to send at the position of the peer. `newest`: the newest mark of the store. */
    open(newest: Position): void {
      const reason = peerStanding === 'valid' ? undefined : peerStanding
      if (!reason) marks.begin(peerPosition)
      step({ type: 'credited', bytes: creditBytes })
      step({ type: 'opened', position: reason ? undefined : peerPosition, reason, newest })
    },
    wake,
    late: (origins: readonly Origin[], at: number): void => step({ type: 'late', origins, at }),
    credited(bytes: number): void {
      throughput.credited(bytes)
      const frameBytes = throughput.bytesPerSecond()
      step({ type: 'credited', bytes, ...(frameBytes === undefined ? {} : { frameBytes }) })
    },
    sent: marks.sent,
    isResting: (): boolean => isResting(state),
    /** Calls the listener, until it is disposed, whenever this side has nothing to send. */
    onRest: rested.add,
    /** The newest mark that this session has read from the store. */
    newest: (): Position | undefined => state.newest,
    [Symbol.dispose](): void {
      listening?.[Symbol.dispose]()
      poll?.[Symbol.dispose]()
      marks[Symbol.dispose]()
    },
  }
}

export type Sender = ReturnType<typeof createSender>
