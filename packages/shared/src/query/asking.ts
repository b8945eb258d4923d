import { unreachable } from '../base/base.ts'
import { answerBytesMax, atOnceMax, type Fault, type QueryFailure, type QueryFrame, waitingMax } from './query.ts'

type AskFrame = Extract<QueryFrame, { readonly type: 'ask' }>

export type AskingEvent =
  /** A caller asks. Each query has an id of its own. */
  | { readonly type: 'ask'; readonly frame: AskFrame }
  | { readonly type: 'answer'; readonly id: number; readonly bytes: Uint8Array; readonly last: boolean }
  | { readonly type: 'fault'; readonly id: number; readonly fault: Fault }
  /** The caller needs no answer any more, or its time is over. */
  | { readonly type: 'leave'; readonly id: number; readonly failure: QueryFailure }
  /** The session has ended. */
  | { readonly type: 'closed'; readonly reason: string }

export type AskingEffect =
  | { readonly type: 'send'; readonly frame: QueryFrame }
  | { readonly type: 'answered'; readonly id: number; readonly parts: readonly Uint8Array[] }
  | { readonly type: 'failed'; readonly id: number; readonly failure: QueryFailure }

interface Running {
  readonly parts: Uint8Array[]
  bytes: number
}

/** Plain data, so that a walk can copy it. Only `askingStep` changes it. */
export interface AskingState {
  readonly running: Map<number, Running>
  /** In the order of their arrival. */
  waiting: readonly AskFrame[]
  /** Why the session has ended. */
  closed: string | undefined
}

export const createAsking = (): AskingState => ({ running: new Map(), waiting: [], closed: undefined })

/**
 * The side that asks. Each query ends exactly once: with its answer, or with the reason why there is none. What arrives
 * for a query that has ended is ignored.
 */
export function askingStep(state: AskingState, event: AskingEvent): AskingEffect[] {
  switch (event.type) {
    case 'ask': {
      const { frame } = event
      if (state.closed !== undefined) return [failed(frame.id, 'ended', state.closed)]
      if (state.running.size >= atOnceMax && state.waiting.length >= waitingMax)
        return [
          failed(frame.id, 'busy', `${atOnceMax} queries run and ${waitingMax} wait for this peer; ask again later`),
        ]
      state.waiting = [...state.waiting, frame]
      return next(state)
    }
    case 'answer': {
      const running = state.running.get(event.id)
      if (!running) return []
      running.bytes += event.bytes.length
      if (running.bytes > answerBytesMax)
        return [
          { type: 'send', frame: { type: 'cancel', id: event.id } },
          ...end(state, failed(event.id, 'too-large', `the answer has more than ${answerBytesMax} bytes`)),
        ]
      running.parts.push(event.bytes)
      return event.last ? end(state, { type: 'answered', id: event.id, parts: running.parts }) : []
    }
    case 'fault':
      if (!state.running.has(event.id)) return []
      return end(state, { type: 'failed', id: event.id, failure: event.fault })
    case 'leave': {
      const over: EndEffect = { type: 'failed', id: event.id, failure: event.failure }
      if (state.running.has(event.id))
        return [{ type: 'send', frame: { type: 'cancel', id: event.id } }, ...end(state, over)]
      const left = state.waiting.filter(({ id }) => id !== event.id)
      if (left.length === state.waiting.length) return []
      state.waiting = left
      return [over]
    }
    case 'closed': {
      state.closed ??= event.reason
      const ids = [...state.running.keys(), ...state.waiting.map(({ id }) => id)]
      state.running.clear()
      state.waiting = []
      return ids.map((id) => failed(id, 'ended', event.reason))
    }
    default:
      return unreachable(event)
  }
}

type EndEffect = Exclude<AskingEffect, { readonly type: 'send' }>

const failed = (id: number, code: QueryFailure['code'], reason: string): EndEffect => ({
  type: 'failed',
  id,
  failure: { code, reason },
})

function end(state: AskingState, effect: EndEffect): AskingEffect[] {
  state.running.delete(effect.id)
  return [effect, ...next(state)]
}

/** Sends waiting queries while there is room. */
function next(state: AskingState): AskingEffect[] {
  const frames = state.waiting.slice(0, Math.max(0, atOnceMax - state.running.size))
  state.waiting = state.waiting.slice(frames.length)
  for (const { id } of frames) state.running.set(id, { parts: [], bytes: 0 })
  return frames.map((frame) => ({ type: 'send', frame }))
}
