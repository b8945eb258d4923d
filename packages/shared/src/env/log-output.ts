import { writeSync } from 'node:fs'

/**
 * A write to a full pipe is retried this often, at this interval: a plane waits at most 10 ms for the reader of its
 * log.
 */
const triesMax = 5
const againMs = 2

export interface LogOutput {
  /** Writes one or more lines. Never throws. */
  write(text: string): void
}

/**
 * Writes a log to a file descriptor. Logging never ends a process: a line that cannot be written (a full disk, a closed
 * pipe or terminal) is dropped and counted, and `recovered` is called with the count once writes succeed again.
 */
export function createLogOutput(descriptor: number, recovered: (dropped: number) => void): LogOutput {
  let dropped = 0
  return {
    write(text) {
      if (!writeWhole(descriptor, text)) {
        dropped += 1
        return
      }
      if (dropped === 0) return
      const count = dropped
      dropped = 0
      recovered(count)
    },
  }
}

function writeWhole(descriptor: number, text: string): boolean {
  let rest: Uint8Array = Buffer.from(text)
  for (let tries = 0; tries < triesMax; ) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest))
      if (rest.length === 0) return true
    } catch (thrown) {
      const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
      if (code !== 'EAGAIN') return false
      tries += 1
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, againMs)
    }
  }
  return false
}
