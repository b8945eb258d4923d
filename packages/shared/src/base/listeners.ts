/** The functions that are called with each value of one event, in the order in which they were added. */
export interface Listeners<T = void> {
  /** Disposing the result removes the listener. */
  add(listener: (value: T) => void): Disposable
  /** A listener that is added or removed during the call changes only the next call. */
  call(value: T): void
  clear(): void
}

export function createListeners<T = void>(): Listeners<T> {
  const listeners = new Set<(value: T) => void>()
  return {
    add(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    call(value) {
      for (const listener of [...listeners]) listener(value)
    },
    clear: () => listeners.clear(),
  }
}
