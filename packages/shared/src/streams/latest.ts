/**
 * A changing value. Readers get the newest value and may miss values in between. Limit: one value, the old one is
 * dropped.
 */
export interface Latest<T> {
  readonly value: T
  set(value: T): void
  /** Yields the present value, then each newer one, until the signal aborts. */
  watch(signal: AbortSignal): AsyncIterable<T>
}

export function createLatest<T>(initial: T): Latest<T> {
  let value = initial
  let version = 0
  const waiting = new Set<() => void>()
  return {
    get value() {
      return value
    },
    set(next) {
      value = next
      version += 1
      const wake = [...waiting]
      waiting.clear()
      for (const resolve of wake) resolve()
    },
    async *watch(signal) {
      let seen = -1
      while (!signal.aborted) {
        if (seen === version) {
          await new Promise<void>((resolve) => {
            const done = () => {
              waiting.delete(done)
              signal.removeEventListener('abort', done)
              resolve()
            }
            waiting.add(done)
            signal.addEventListener('abort', done, { once: true })
          })
          continue
        }
        seen = version
        yield value
      }
    },
  }
}
