import { err, type JsonObject, messageOf, ok, type Result, unreachable } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import { type AnsweringEffect, type AnsweringEvent, answeringStep, createAnswering } from './answering.ts'
import { type AskingEffect, type AskingEvent, askingStep, createAsking } from './asking.ts'
import { gzipPacking, jsonBytes, jsonFrom, type Packing } from './packing.ts'
import { type Fault, type QueryFailure, type QueryFrame, queryMaxMs } from './query.ts'

/**
 * Answers one kind of query. The signal aborts when nobody needs the answer any more. An error is a refusal with its
 * reason; what is thrown is reported to the peer as a failure.
 */
export type QueryHandler = (request: JsonObject, signal: AbortSignal) => Promise<Result<JsonObject, string>>
export type QueryHandlers = Readonly<Record<string, QueryHandler>>

export interface ExchangeDeps {
  readonly clock: Clock
  readonly send: (frame: QueryFrame) => void
  /** Resolves when nothing else waits to be sent. May never resolve after the session has ended. */
  readonly turn: () => Promise<void>
  readonly handlers: QueryHandlers
  readonly packing?: Packing
}

export interface Exchange {
  /** Asks the peer. Never throws: it resolves with the answer, or with the reason why there is none. */
  ask(name: string, request: JsonObject, signal: AbortSignal): Promise<Result<JsonObject, QueryFailure>>
  /** A frame of the peer has arrived. */
  receive(frame: QueryFrame): void
  /** The session has ended. */
  close(reason: string): void
}

/** The queries of one session, in both directions. */
export function createExchange(deps: ExchangeDeps): Exchange {
  const asking = createAskingHalf(deps)
  const answering = createAnsweringHalf(deps)
  return {
    ask: asking.ask,
    receive(frame) {
      switch (frame.type) {
        case 'ask':
        case 'cancel':
          return void answering.run(frame)
        case 'answer':
        case 'fault':
          return void asking.run(frame)
        default:
          return void unreachable(frame)
      }
    },
    close(reason) {
      asking.run({ type: 'closed', reason })
      answering.run({ type: 'closed' })
    },
  }
}

type Settle = (parts: Result<readonly Uint8Array[], QueryFailure>) => void

function createAskingHalf({ clock, send, packing = gzipPacking }: ExchangeDeps) {
  const state = createAsking()
  const settleById = new Map<number, Settle>()
  let asked = 0

  function run(event: AskingEvent): void {
    for (const effect of askingStep(state, event)) perform(effect)
  }

  function perform(effect: AskingEffect): void {
    switch (effect.type) {
      case 'send':
        return void send(effect.frame)
      case 'answered':
        return void settleById.get(effect.id)?.(ok(effect.parts))
      case 'failed':
        return void settleById.get(effect.id)?.(err(effect.failure))
      default:
        return void unreachable(effect)
    }
  }

  async function ask(
    name: string,
    request: JsonObject,
    signal: AbortSignal,
  ): Promise<Result<JsonObject, QueryFailure>> {
    const id = ++asked
    const { promise, resolve } = Promise.withResolvers<Result<readonly Uint8Array[], QueryFailure>>()
    settleById.set(id, resolve)
    const leave = (code: 'late' | 'cancelled', reason: string) => run({ type: 'leave', id, failure: { code, reason } })
    const cancel = () => leave('cancelled', 'the caller needs no answer any more')
    using _limit = clock.after(queryMaxMs, () => leave('late', `no answer within ${queryMaxMs / 1_000} s`))
    signal.addEventListener('abort', cancel, { once: true })
    run({ type: 'ask', frame: { type: 'ask', id, name, request: jsonBytes(request) } })
    if (signal.aborted) cancel()
    const result = await promise
    settleById.delete(id)
    signal.removeEventListener('abort', cancel)
    return result.ok ? unpacked(result.value, packing) : result
  }

  return { ask, run }
}

async function unpacked(parts: readonly Uint8Array[], packing: Packing): Promise<Result<JsonObject, QueryFailure>> {
  try {
    return ok(jsonFrom(await packing.unpack(Buffer.concat(parts))))
  } catch (cause) {
    return err({ code: 'failed', reason: `the answer cannot be read: ${messageOf(cause)}` })
  }
}

function createAnsweringHalf({ clock, send, turn, handlers, packing = gzipPacking }: ExchangeDeps) {
  const state = createAnswering()
  const abortById = new Map<number, AbortController>()

  function run(event: AnsweringEvent): void {
    for (const effect of answeringStep(state, event)) perform(effect)
  }

  function perform(effect: AnsweringEffect): void {
    switch (effect.type) {
      case 'send':
        return void send(effect.frame)
      case 'abort':
        return void abortById.get(effect.id)?.abort()
      case 'await-turn':
        return void turn().then(() => run({ type: 'turn' }))
      case 'handle':
        return void handle(effect.id, effect.name, effect.request)
      default:
        return void unreachable(effect)
    }
  }

  async function handle(id: number, name: string, request: Uint8Array): Promise<void> {
    const abort = new AbortController()
    abortById.set(id, abort)
    using _limit = clock.after(queryMaxMs, () => abort.abort())
    const result = await answer(name, request, abort.signal)
    abortById.delete(id)
    run({ type: 'handled', id, result })
  }

  async function answer(name: string, request: Uint8Array, signal: AbortSignal): Promise<Result<Uint8Array, Fault>> {
    const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined
    if (!handler)
      return err({ code: 'unknown', reason: `the query "${name.slice(0, 80)}" is not known in this version` })
    try {
      const answered = await handler(jsonFrom(request), signal)
      if (!answered.ok) return err({ code: 'refused', reason: answered.error })
      return ok(await packing.pack(jsonBytes(answered.value)))
    } catch (cause) {
      return err({ code: 'failed', reason: messageOf(cause) })
    }
  }

  return { run }
}
