import { err, type JsonObject, type Result } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import { createExchange, type QueryHandlers } from '../query/exchange.ts'
import type { Packing } from '../query/packing.ts'
import type { QueryFailure, QueryFrame } from '../query/query.ts'
import type { Channel } from '../transport/transport.ts'
import type { Lifetime } from './lifetime.ts'
import type { Message } from './log/messages.ts'
import type { Sender } from './sender.ts'

/** Rows go first, but a peer that is written to without a pause must answer queries too. */
const rowsFirstMs = 500

interface TurnDeps {
  readonly clock: Clock
  readonly channel: Pick<Channel, 'drained'>
  readonly sender: Pick<Sender, 'isResting' | 'onRest'>
}

interface Deps extends TurnDeps {
  readonly lifetime: Pick<Lifetime, 'signal'>
  readonly peer: string
  readonly send: (message: Message) => void
}

export interface QueryOptions {
  /** What this plane answers. */
  readonly handlers: QueryHandlers
  /** Why the peer cannot be asked; undefined if it can. */
  readonly unsupported?: string
  readonly packing?: Packing
}

export type Ask = (name: string, request: JsonObject, signal: AbortSignal) => Promise<Result<JsonObject, QueryFailure>>

/** The queries of a session, in both directions, until disposed. */
export function startQueries({ peer, lifetime, ...deps }: Deps, { unsupported, ...options }: QueryOptions) {
  const turns = createQueryTurns(deps)
  const send = (frame: QueryFrame) => void (lifetime.signal.aborted || deps.send({ type: 'query', frame }))
  const exchange = createExchange({ ...options, clock: deps.clock, send, turn: turns.next })
  const ask: Ask = async (...question) =>
    unsupported === undefined ? exchange.ask(...question) : err({ code: 'unsupported', reason: unsupported })
  return {
    ask,
    receive: exchange.receive,
    [Symbol.dispose](): void {
      turns[Symbol.dispose]()
      exchange.close(`the session with ${peer} has ended`)
    },
  }
}

export type Queries = ReturnType<typeof startQueries>

/**
 * When the frames of queries may be sent: once no rows wait to be sent, 500 ms later at most, and never faster than
 * the channel drains. So a query delays rows and bookmarks by one frame at most.
 */
function createQueryTurns({ clock, channel, sender }: TurnDeps) {
  const waits = new Set<Disposable>()

  function rested(): Promise<void> {
    if (sender.isResting()) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    const wait = new DisposableStack()
    wait.use(sender.onRest(end))
    wait.use(clock.after(rowsFirstMs, end))
    waits.add(wait)
    function end(): void {
      waits.delete(wait)
      wait[Symbol.dispose]()
      resolve()
    }
    return promise
  }

  return {
    async next(): Promise<void> {
      await rested()
      await channel.drained()
    },
    [Symbol.dispose](): void {
      for (const wait of waits) wait[Symbol.dispose]()
    },
  }
}
