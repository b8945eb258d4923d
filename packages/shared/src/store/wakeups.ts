/** For stores that no other process uses. */
export const neverWoken = (): Disposable => ({ [Symbol.dispose]: () => undefined })

/** What may be new in a store: a mark, or notes. */
export const topics = ['mark', 'notes'] as const
export type Topic = (typeof topics)[number]

/**
 * A way on which the processes of a store wake each other. A wake-up is a hint: it may be lost, late, repeated or
 * invented.
 */
export interface Wakeups {
  /** Wakes the other processes. Never fails and never waits. */
  wake(topic: Topic): void
  /** Another process has woken this one, or may have. */
  onWake(listener: (topic: Topic) => void): Disposable
}
