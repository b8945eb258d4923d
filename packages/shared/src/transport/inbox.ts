/** What may lie here while nobody listens: one frame of the handshake and the first credit. Above it nothing more is read. */
const earlyBytesMax = 4 * 1024 * 1024

/** Hands messages to whoever listens; what comes earlier waits, in order, and the connection is paused when that is too much. */
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
    /** Sets who gets the messages from here on; those that wait are given first, as long as somebody listens. */
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
