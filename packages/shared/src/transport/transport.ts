import type { Result } from '../base/base.ts'

/** How a channel ended. `refused` says that the other end would not have us: its reason is for people. */
export interface ChannelEnd {
  readonly refused: boolean
  readonly reason: string
}

/**
 * A connection that carries whole messages in order, both ways. Whoever sends stops when `send` says false, and goes on
 * after `drained`; frames that wait here are bounded by that. Whoever receives bounds the sender by credit.
 */
export interface Channel {
  /** Sends a message. False when the other end is slower than we are. Does nothing once the channel has ended. */
  send(bytes: Uint8Array): boolean
  /** Resolves when messages may be sent again, or the channel has ended. */
  drained(): Promise<void>
  /** Sets who gets the messages from the next one on. While nobody does, they wait, and are then given first. */
  onMessage(listener: ((bytes: Uint8Array) => void) | undefined): void
  /** Resolves once, when nothing more will come. */
  readonly ended: Promise<ChannelEnd>
  /** Ends the channel after what was sent. */
  end(): void
  /** Ends it now. */
  cut(reason: string): void
}

/** The address of the other end and what it showed to be let in. */
export interface Caller {
  readonly address: string
  readonly token: string | undefined
}

/**
 * Accepts or turns away a caller, once: `refuse` ends the call as unauthenticated, with a reason for the one who called. A
 * transport drops a caller that takes too long before it is accepted.
 */
export type OnCall = (caller: Caller, accept: () => Channel, refuse: (reason: string) => void) => void

export interface Listening {
  readonly port: number
  /** Closes the door and every channel that came through it. */
  close(): Promise<void>
}

/** Opens one door for callers. Throws one sentence when the address cannot be had. */
export type Listen = (onCall: OnCall) => Promise<Listening>

/** Why nobody was reached; `refused`: somebody answered, and trying again soon does not help. */
export interface DialFailure {
  readonly refused: boolean
  readonly reason: string
}

/** The way to one peer. */
export interface Dialer {
  /** One try. Disposing the channel lets go of its connection. */
  dial(signal: AbortSignal): Promise<Result<Channel & Disposable, DialFailure>>
  /** The last try led nowhere: what was learnt about the peer before may be old. */
  forget(): void
}
