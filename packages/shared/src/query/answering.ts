import { type Result, unreachable } from '../base/base.ts'
import { answerBytesMax, atOnceMax, type Fault, partBytesMax, type QueryFrame } from './query.ts'

export type AnsweringEvent =
  | { readonly type: 'ask'; readonly id: number; readonly name: string; readonly request: Uint8Array }
  | { readonly type: 'cancel'; readonly id: number }
  /** The handler of a query has finished. */
  | { readonly type: 'handled'; readonly id: number; readonly result: Result<Uint8Array, Fault> }
  /** Nothing else waits to be sent, so one frame may be sent. Answers the effect `await-turn`. */
  | { readonly type: 'turn' }
  | { readonly type: 'closed' }

export type AnsweringEffect =
  | { readonly type: 'handle'; readonly id: number; readonly name: string; readonly request: Uint8Array }
  /** Nobody needs the result of this handler any more. Its end is still reported. */
  | { readonly type: 'abort'; readonly id: number }
  | { readonly type: 'await-turn' }
  | { readonly type: 'send'; readonly frame: QueryFrame }

interface Ready {
  readonly id: number
  readonly result: Result<Uint8Array, Fault>
  /** How many bytes of the answer are sent. */
  sent: number
}

/** Plain data, so that a walk can copy it. Only `answeringStep` changes it. */
export interface AnsweringState {
  /** Handlers that run; false: nobody needs the result any more. */
  readonly handled: Map<number, boolean>
  /** Answers to send. The first one is sent next, and each part moves its answer to the end. */
  ready: readonly Ready[]
  awaitsTurn: boolean
  closed: boolean
}

export const createAnswering = (): AnsweringState => ({
  handled: new Map(),
  ready: [],
  awaitsTurn: false,
  closed: false,
})

/** A peer that cancels and asks again leaves handlers behind that still run: at most so many run in total. */
const handlersMax = 2 * atOnceMax

/**
 * The side that answers. It never trusts the limits of its peer: a third query at a time is refused as busy, and an
 * answer that is too large is not sent.
 */
export function answeringStep(state: AnsweringState, event: AnsweringEvent): AnsweringEffect[] {
  switch (event.type) {
    case 'ask': {
      const { id, name, request } = event
      if (state.closed || state.handled.has(id) || state.ready.some((one) => one.id === id)) return []
      const open = [...state.handled.values()].filter(Boolean).length + state.ready.length
      if (open >= atOnceMax || state.handled.size >= handlersMax) {
        // Without this limit a peer that never stops to ask would fill the memory with refusals.
        if (state.ready.length >= 2 * handlersMax) return []
        const reason = `at most ${atOnceMax} queries of one peer run at a time`
        return queued(state, { id, result: { ok: false, error: { code: 'busy', reason } }, sent: 0 })
      }
      state.handled.set(id, true)
      return [{ type: 'handle', id, name, request }]
    }
    case 'cancel':
      state.ready = state.ready.filter(({ id }) => id !== event.id)
      if (state.handled.get(event.id) !== true) return []
      state.handled.set(event.id, false)
      return [{ type: 'abort', id: event.id }]
    case 'handled': {
      const isNeeded = state.handled.get(event.id)
      state.handled.delete(event.id)
      if (!isNeeded || state.closed) return []
      const { result } = event
      const isTooLarge = result.ok && result.value.length > answerBytesMax
      return queued(state, { id: event.id, result: isTooLarge ? tooLarge(result.value.length) : result, sent: 0 })
    }
    case 'turn':
      state.awaitsTurn = false
      return state.closed ? [] : sendOne(state)
    case 'closed':
      state.closed = true
      state.ready = []
      return [...state.handled].filter(([, isNeeded]) => isNeeded).map(([id]) => ({ type: 'abort', id }))
    default:
      return unreachable(event)
  }
}

const tooLarge = (bytes: number): Result<Uint8Array, Fault> => ({
  ok: false,
  error: { code: 'too-large', reason: `the answer has ${bytes} bytes, expected at most ${answerBytesMax}` },
})

function queued(state: AnsweringState, ready: Ready): AnsweringEffect[] {
  state.ready = [...state.ready, ready]
  return awaitTurn(state)
}

function awaitTurn(state: AnsweringState): AnsweringEffect[] {
  if (state.awaitsTurn || state.ready.length === 0) return []
  state.awaitsTurn = true
  return [{ type: 'await-turn' }]
}

function sendOne(state: AnsweringState): AnsweringEffect[] {
  const [first, ...others] = state.ready
  if (!first) return []
  state.ready = others
  const { id, result } = first
  if (!result.ok) return [{ type: 'send', frame: { type: 'fault', id, fault: result.error } }, ...awaitTurn(state)]
  const bytes = result.value.subarray(first.sent, first.sent + partBytesMax)
  first.sent += bytes.length
  const last = first.sent >= result.value.length
  if (!last) state.ready = [...others, first]
  return [{ type: 'send', frame: { type: 'answer', id, bytes, last } }, ...awaitTurn(state)]
}
