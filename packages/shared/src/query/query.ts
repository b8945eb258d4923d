/**
 * Queries between the two peers of a session: one asks, the other answers from its own state. Queries are not part of
 * any log, and the frames of an answer are sent only when nothing else waits. `asking.ts` and `answering.ts` are the
 * two pure steps, and `exchange.ts` performs their effects for one session.
 */

/** At most so many queries of one peer run at a time; further ones wait. */
export const atOnceMax = 2
/** At most so many queries of one peer wait; further ones fail at once. */
export const waitingMax = 16
/** The largest answer as it is sent, which is compressed. */
export const answerBytesMax = 4 * 1024 * 1024
/** The largest part of an answer in one frame. */
export const partBytesMax = 64 * 1024
/** A query ends after this time, including the time that it has waited. */
export const queryMaxMs = 10_000

/** Why a peer gives no answer. `unknown`: the peer does not know the query, for example because it is older. */
export const faultCodes = ['unknown', 'busy', 'refused', 'too-large', 'failed'] as const
export type FaultCode = (typeof faultCodes)[number]

/** Why a query has no answer: a fault of the peer, no answer in time, or the end of the session or of the caller. */
export interface QueryFailure {
  readonly code: FaultCode | 'late' | 'ended' | 'cancelled' | 'unsupported'
  readonly reason: string
}

export interface Fault {
  readonly code: FaultCode
  readonly reason: string
}

/** A frame of a session that belongs to a query. The id is chosen by the peer that asks. */
export type QueryFrame =
  | { readonly type: 'ask'; readonly id: number; readonly name: string; readonly request: Uint8Array }
  | { readonly type: 'answer'; readonly id: number; readonly bytes: Uint8Array; readonly last: boolean }
  | { readonly type: 'fault'; readonly id: number; readonly fault: Fault }
  | { readonly type: 'cancel'; readonly id: number }
