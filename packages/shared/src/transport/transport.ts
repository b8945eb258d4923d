import type { Result } from '../base/base.ts'

/** How a channel ended. `refused`: the peer has refused this caller, and `reason` is its text for an operator. */
export interface ChannelEnd {
  readonly refused: boolean
  readonly reason: string
}

/**
 * A connection that carries whole messages in order, in both directions. A sender stops when `send` returns false and
 * continues after `drained`, which bounds the queue of frames here. A receiver bounds the sender by credit.
 */
export interface Channel {
  /**
   * Sends a message. Returns false if the peer reads more slowly than we send. Does nothing once the channel has ended.
   */
  send(bytes: Uint8Array): boolean
  /** Resolves when messages may be sent again, or the channel has ended. */
  drained(): Promise<void>
  /**
   * Sets the listener of further messages. Messages that arrive without a listener wait, and the next listener gets
   * them first.
   */
  onMessage(listener: ((bytes: Uint8Array) => void) | undefined): void
  /** Resolves once, when no further message will arrive. */
  readonly ended: Promise<ChannelEnd>
  /** Ends the channel after the messages that were sent. */
  end(): void
  /** Ends the channel at once. */
  cut(reason: string): void
}

/** The address and the token of a caller. */
export interface Caller {
  readonly address: string
  readonly token: string | undefined
}

/**
 * Accepts or refuses a caller, once. `refuse` ends the call as unauthenticated, with a reason for the caller. A
 * transport drops a caller that is not accepted within its time limit.
 */
export type OnCall = (caller: Caller, accept: () => Channel, refuse: (reason: string) => void) => void

export interface Listening {
  readonly port: number
  /** Closes the door and every channel that it has accepted. */
  close(): Promise<void>
}

/** Opens one door for callers. Throws an error with one sentence if the address is not available. */
export type Listen = (onCall: OnCall) => Promise<Listening>

/** Why dialling failed. `refused`: the peer has answered, so a retry soon does not help. */
export interface DialFailure {
  readonly refused: boolean
  readonly reason: string
}

/** Dials one peer. */
export interface Dialer {
  /** Makes one attempt. Disposing the channel closes its connection. */
  dial(signal: AbortSignal): Promise<Result<Channel & Disposable, DialFailure>>
  /** The last attempt failed, so what the dialer has cached about the peer may be outdated. */
  forget(): void
}
