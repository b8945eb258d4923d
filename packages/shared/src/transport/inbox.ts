/**
 * How many bytes may wait without a listener: a frame of the handshake and the first credit. Above it reading pauses.
 */
const earlyBytesMax = 4 * 1024 * 1024

/** Passes messages to the listener. Earlier messages wait, in order, and the connection pauses if too many wait. */
export function createInbox(connection: { pause(): void; resume(): void }) {
  const early: Uint8Array[] = []
  let earlyBytes = 0
  let listener: ((bytes: Uint8Array) => void) | undefined
  return {
    take(bytes: Uint8Array): void {
      if (listener) {
        listener(bytes)
        return
      }
      early.push(bytes)
      earlyBytes += bytes.length
      if (earlyBytes > earlyBytesMax) connection.pause()
    },
    /** Sets the listener of further messages. It gets the waiting messages first, unless it removes itself. */
    listen(next: ((bytes: Uint8Array) => void) | undefined): void {
      listener = next
      while (listener && early.length > 0) {
        const bytes = early.shift()
        earlyBytes -= bytes?.length ?? 0
        if (bytes) listener(bytes)
      }
      if (earlyBytes <= earlyBytesMax) connection.resume()
    },
  }
}
