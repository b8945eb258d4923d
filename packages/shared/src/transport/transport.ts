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
